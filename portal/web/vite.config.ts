import { defineConfig } from "vite";

// The Go package embeds dist/ and serves it under one port with the API; for `npm run dev`, run the portal on 8080.
export default defineConfig({
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // the content security policy allows no inline script or style
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 800,
  },
  server: {
    proxy: { "/api": { target: "http://127.0.0.1:8080", changeOrigin: true } },
  },
});
