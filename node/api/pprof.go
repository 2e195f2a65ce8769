package api

import (
	"net/http"
	"net/http/pprof"
)

// Profiles returns the handler of profiles at /debug/pprof/, for a listener of
// their own: they tell much about a process, its command line included, and to
// take one slows it down.
func Profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code, why := admit(w, r); code != http.StatusOK {
			http.Error(w, why, code)
			return
		}
		mux.ServeHTTP(w, r)
	})
}
