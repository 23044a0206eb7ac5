package admin

import (
	"net/http"

	"go.uber.org/zap"
)

// routes are the paths of the API, below its version, and what each method of them does.
func (a *Admin) routes() map[string]map[string]endpoint {
	read := func(do func(*http.Request) (any, error)) endpoint { return endpoint{figures, do} }
	may := func(do func(*http.Request) (any, error)) endpoint { return endpoint{secrets, do} }
	type methods = map[string]endpoint
	return map[string]methods{
		"status":           {"GET": read(func(*http.Request) (any, error) { return a.status(), nil })},
		"stats":            {"GET": read(func(*http.Request) (any, error) { return a.stats(), nil })},
		"clients":          {"GET": read(a.getClients)},
		"clients/{id}":     {"DELETE": may(a.deleteClient)},
		"upstreams":        {"GET": read(func(*http.Request) (any, error) { return object{"upstreams": a.upstreams()}, nil })},
		"tenants":          {"GET": read(func(*http.Request) (any, error) { return object{"tenants": a.tenants()}, nil })},
		"rules":            {"GET": read(a.getRules)},
		"refusals":         {"GET": read(func(*http.Request) (any, error) { return a.refusals(), nil })},
		"slowlog":          {"GET": read(a.getSlowLog), "DELETE": may(a.deleteSlowLog)},
		"sessions":         {"GET": may(a.getSessions)},
		"sessions/show":    {"GET": may(a.getSession)},
		"sessions/count":   {"GET": may(a.getSessionCount)},
		"revocations":      {"GET": may(a.getRevocations), "POST": may(a.postRevocation)},
		"revocations/{id}": {"GET": may(a.getRevocation), "DELETE": may(a.deleteRevocation)},
		"audits":           {"GET": may(func(*http.Request) (any, error) { return object{"audits": a.audits.list()}, nil }), "POST": may(a.postAudit)},
		"reload":           {"POST": may(a.postReload)},
		"drain":            {"POST": may(a.postDrain)},
		"pause":            {"POST": may(a.postPause)},
		"resume":           {"POST": may(a.postResume)},
		"loglevel":         {"GET": read(func(*http.Request) (any, error) { return object{"level": a.cfg.Level.String()}, nil }), "PUT": may(a.putLogLevel)},
		"explain":          {"POST": read(a.postExplain)},
	}
}

type object = map[string]any

func (a *Admin) getClients(r *http.Request) (any, error) {
	limit, err := number(r, "limit", 100, 1, 1000)
	if err != nil {
		return nil, err
	}
	after, err := number(r, "after", 0, 0, 1<<62)
	if err != nil {
		return nil, err
	}
	return a.clients(r.URL.Query().Get("tenant"), after, int(limit)), nil
}

func (a *Admin) deleteClient(r *http.Request) (any, error) {
	id, err := idOf(r, "no_such_client")
	if err != nil {
		return nil, err
	}
	return a.kill(id, who(r))
}

func (a *Admin) kill(id int64, by string) (any, error) {
	if !a.cfg.Proxy.Kill(id) {
		return nil, fail(http.StatusNotFound, "no_such_client", "there is no client %d", id)
	}
	a.acted(by, "kill", zap.Int64("client", id))
	return object{"killed": 1}, nil
}

func (a *Admin) getRules(r *http.Request) (any, error) {
	return object{"rules": a.rules(r.URL.Query().Get("tenant"))}, nil
}

func (a *Admin) getSlowLog(r *http.Request) (any, error) {
	limit, err := number(r, "limit", 100, 1, 1<<20)
	if err != nil {
		return nil, err
	}
	return a.slowLog(int(limit)), nil
}

func (a *Admin) deleteSlowLog(r *http.Request) (any, error) {
	a.acted(who(r), "slowlog reset")
	return object{"removed": a.cfg.Proxy.ForgetSlow()}, nil
}
