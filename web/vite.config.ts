import path from "node:path";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const src = path.resolve(import.meta.dirname, "src");
const server = process.env.DLS_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react(), tailwindcss()],
  resolve: {
    alias: [
      { find: "@", replacement: src },
      // What @streamdown/code imports as `shiki`: the languages that we ship, not all of them.
      { find: /^shiki$/, replacement: path.join(src, "markdown/shiki.ts") },
    ],
  },
  build: {
    target: "es2023",
    outDir: process.env.DLS_WEB_OUT ?? "dist",
    emptyOutDir: true,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": server, "/healthz": server, "/readyz": server } },
  test: { include: ["src/**/*.test.{ts,tsx}"], environment: "node" },
});
