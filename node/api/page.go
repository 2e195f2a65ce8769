package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// pageHTML is the status page: one file, no build step, and nothing that it loads from
// elsewhere.  It shows what the endpoints below /v1/ tell.
//
//go:embed page.html
var pageHTML []byte

// pagePolicy has a browser run and show what is in the page as it stands, and ask
// nobody but this listener.
var pagePolicy = fmt.Sprintf("default-src 'none'; script-src '%s'; style-src '%s'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	digestOf("script"), digestOf("style"))

// digestOf returns the digest of what stands between the page's tags of that name.
func digestOf(tag string) string {
	_, rest, _ := bytes.Cut(pageHTML, []byte("<"+tag+">"))
	inside, _, found := bytes.Cut(rest, []byte("</"+tag+">"))
	if !found {
		panic("api: page.html has no <" + tag + ">")
	}
	sum := sha256.Sum256(inside)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// front answers /: a node shows browsers its status page, and everybody else gets
// the list of endpoints.
func (h *handler) front(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	if h.Node == nil || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		h.index(w, r)
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	send(w, http.StatusOK, "text/html; charset=utf-8", pageHTML)
}
