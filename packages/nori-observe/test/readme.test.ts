import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { text } from './readme-example.js';

test('the example of the README runs and is what the README shows', () => {
  const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
  expect(text).toContain('mail_received_total{result="ok"} 1\n');
  expect(read('../README.md')).toContain(`\`\`\`ts\n${read('./readme-example.ts')}\`\`\``);
});
