// Assembles src/crc32c.wat into src/crc32c-wasm.ts. A test holds the two together.
import { readFileSync, writeFileSync } from 'node:fs';
import wabt from 'wabt';

const { parseWat } = await wabt();
const source = new URL('../src/crc32c.wat', import.meta.url);
const module = parseWat('crc32c.wat', readFileSync(source, 'utf8'), { simd: true });
const { buffer } = module.toBinary({});
module.destroy();

writeFileSync(
  new URL('../src/crc32c-wasm.ts', import.meta.url),
  `// Generated from crc32c.wat by \`node scripts/assemble.mjs\`: do not edit.

/** The WebAssembly module, in base64. */
export const CRC32C_WASM =
${(
  Buffer.from(buffer)
    .toString('base64')
    .match(/.{1,100}/g) ?? []
)
  .map((line) => `  '${line}'`)
  .join(' +\n')};
`,
);
