import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// The first browsers with light-dark(): every colour is written once, for both schemes.
const browsers = ['chrome123', 'firefox120', 'safari17.5'];

export default defineConfig({
  plugins: [svelte()],
  build: {
    outDir: '../src/cellwarden/hub/static',
    emptyOutDir: true,
    target: browsers,
    // A data: address would be a second way to load what the policy allows from 'self' alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: {
    proxy: {
      '^/(api|healthz|metrics|openapi.json)': {
        target: process.env.CELLWARDEN_HUB ?? 'https://127.0.0.1:8443',
        secure: false,
      },
    },
  },
});
