// The README's table of settings is the table of settings.
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { allowedOf, environmentOf, SETTINGS, type Setting } from '../../src/config/index.js';

const defaultOf = (setting: Setting): string =>
  Array.isArray(setting.default) || setting.default === '' ? '(none)' : `\`${String(setting.default)}\``;

const row = (setting: Setting): string =>
  `| \`${setting.key}\` | \`${environmentOf(setting)}\` | ${defaultOf(setting)} | ${setting.description} | ${allowedOf(setting)} |`;

test('README.md shows each setting with variable, default, meaning and what is allowed', async () => {
  const text = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const table = text.split('<!-- settings -->')[1]?.split('<!-- /settings -->')[0]?.trim();
  const header = ['| setting, flag | variable | default | what it does | allowed |', '|---|---|---|---|---|'];
  expect(table).toBe([...header, ...SETTINGS.map(row)].join('\n'));
});
