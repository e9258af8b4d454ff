package portal

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

// static serves the built web application from memory, compressed where the browser takes it.
type static struct {
	files map[string]*staticFile // by URL path
}

type staticFile struct {
	contentType string
	etag        string
	plain       []byte
	compressed  func() []byte // nil where compression does not pay
}

func newStatic(dist fs.FS) *static {
	s := &static{files: map[string]*staticFile{}}
	fs.WalkDir(dist, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		data, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		f := &staticFile{contentType: mime.TypeByExtension(path.Ext(name)), etag: `W/"` + hex.EncodeToString(sum[:12]) + `"`, plain: data}
		switch path.Ext(name) {
		case ".html", ".js", ".css", ".svg", ".json":
			f.compressed = sync.OnceValue(func() []byte { return compress(data) })
		}
		s.files["/"+name] = f
		return nil
	})
	if index, built := s.files["/index.html"]; built {
		s.files["/"] = index
	} else {
		s.files["/"] = &staticFile{contentType: "text/html; charset=utf-8", plain: []byte(notBuilt), etag: `W/"not-built"`}
	}
	return s
}

func compress(data []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is valid
	w.Write(data)                                           // a bytes.Buffer takes everything
	w.Close()
	return out.Bytes()
}

// index answers with the application, which finds its page in the address.
func (s *static) index(w http.ResponseWriter, r *http.Request) { s.serve(w, r, s.files["/"]) }

func (s *static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := s.files[r.URL.Path]
	if !ok {
		problem(http.StatusNotFound, codeNotFound, "There is nothing at this address. The overview is at /, the API is described at /openapi.json.").write(w)
		return
	}
	s.serve(w, r, f)
}

func (s *static) serve(w http.ResponseWriter, r *http.Request, f *staticFile) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", f.etag)
	if strings.HasPrefix(r.URL.Path, "/assets/") {
		h.Set("Cache-Control", "public, max-age=31536000, immutable") // its name holds the hash of its content
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := f.plain
	if f.compressed != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		body = f.compressed()
		h.Set("Content-Encoding", "gzip")
	}
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

const notBuilt = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>shire</title>
<h1>The web application has not been built</h1>
<p>Run <code>make web</code> and then <code>make build</code>; it needs Node.js 20.19 or newer. The API works without it:
<a href="/openapi.json">/openapi.json</a>.</p>
<h1 lang="zh-CN">网页尚未构建</h1>
<p lang="zh-CN">请先运行 <code>make web</code>，再运行 <code>make build</code>（需要 Node.js 20.19 或更新版本）。接口不受影响：<a href="/openapi.json">/openapi.json</a>。</p>
</html>
`
