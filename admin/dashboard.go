package admin

import (
	"embed"
	"net/http"
	"path"
)

// page is the dashboard: a few files without data in them, which ask the API for that.
//
//go:embed page
var page embed.FS

// dashboard serves the page. Nobody needs a credential to load it.
func (a *Admin) dashboard(mux *http.ServeMux) {
	for _, file := range []struct{ path, name, kind string }{
		{"/{$}", "index.html", "text/html; charset=utf-8"},
		{"/app.js", "app.js", "text/javascript; charset=utf-8"},
		{"/api.js", "api.js", "text/javascript; charset=utf-8"},
		{"/view.js", "view.js", "text/javascript; charset=utf-8"},
		{"/style.css", "style.css", "text/css; charset=utf-8"},
	} {
		text, err := page.ReadFile(path.Join("page", file.name))
		if err != nil {
			panic(err) // it is in the program
		}
		mux.HandleFunc(file.path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", file.kind)
			_, _ = w.Write(text)
		})
	}
}
