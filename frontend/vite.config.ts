// Builds the page into the Python package, serves it while developing, and sets up its unit tests.
import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const server = process.env.PACELINE_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  base: "/ui/",
  plugins: [react(), tailwindcss()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    outDir: "../backend/app/static",
    emptyOutDir: true,
    reportCompressedSize: false,
    // The content policy of the page allows no data: URLs.
    assetsInlineLimit: 0,
  },
  server: {
    // Everything that is not the page belongs to the API.
    proxy: { "^/(?!ui/).+": { target: server, changeOrigin: true } },
  },
  test: {
    environment: "jsdom",
    include: ["src/**/*.test.{ts,tsx}"],
    setupFiles: ["./src/test/setup.ts"],
    // One DOM for all files: making one for each takes longer than all tests together.
    isolate: false,
    restoreMocks: true,
  },
});
