// Asking the API, with the token of this tab. The token is in no address and in no cookie.

let token = sessionStorage.getItem("token") || "";

export function setToken(text) {
  token = text;
  sessionStorage.setItem("token", text);
}

// APIError is what the API says is wrong.
export class APIError extends Error {
  constructor(status, error) {
    super([error.message, ...(error.details || [])].join("\n"));
    this.status = status;
    this.code = error.code;
  }
}

export async function call(method, path, body) {
  const headers = {};
  if (token) headers["Authorization"] = "Bearer " + token;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch("api/v1/" + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const value = await answer.json();
  if (!answer.ok) throw new APIError(answer.status, value.error || { code: "unknown", message: answer.statusText });
  return value;
}

export const get = (path) => call("GET", path);
