#!/bin/sh
# Runs nginx.lua in nginx, which answers with what it prints.
cat >"$SCRATCH/nginx.conf" <<END
daemon off;
pid $SCRATCH/nginx.pid;
error_log $SCRATCH/error.log;
$(cat /usr/share/nginx/modules-available/mod-http-ndk.conf /usr/share/nginx/modules-available/mod-http-lua.conf)
env MODE; env REDIS_HOST; env REDIS_PORT; env REDIS_PASSWORD;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path $SCRATCH/body; proxy_temp_path $SCRATCH/proxy; fastcgi_temp_path $SCRATCH/fastcgi;
    uwsgi_temp_path $SCRATCH/uwsgi; scgi_temp_path $SCRATCH/scgi;
    lua_package_path "$PWD/?.lua;;";
    server {
        listen unix:$SCRATCH/nginx.sock;
        location / { content_by_lua_file $PWD/nginx.lua; }
    }
}
END
echo "# version $(dpkg-query -W -f '${Version}' lua-nginx-redis | cut -d- -f1)"
nginx -c "$SCRATCH/nginx.conf" 2>"$SCRATCH/nginx.log" &
nginx=$!
curl -s --retry 50 --retry-connrefused --retry-delay 1 --retry-all-errors --unix-socket "$SCRATCH/nginx.sock" http://nginx/ | tee "$SCRATCH/tap"
kill $nginx
wait $nginx
if ! grep -q '^1\.\.' "$SCRATCH/tap"; then
    cat "$SCRATCH/nginx.log" "$SCRATCH/error.log" >&2
    exit 1
fi
! grep -q '^not ok' "$SCRATCH/tap"
