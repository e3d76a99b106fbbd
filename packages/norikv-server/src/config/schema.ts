// The zod schema of a configuration, made from the table of settings. It takes values as YAML has them and as text, so
// that one check serves files, environment variables and flags, and yields what `NodeConfig` holds.
import { z } from 'zod';
import { formatAddress, parseAddress } from './address.js';
import { allowedOf, SETTINGS, type Setting, type SettingKind } from './settings.js';

const refuse = (setting: Setting, value: unknown): string =>
  `${shown(value)} is not allowed; allowed: ${allowedOf(setting)}`;

/** A value as it stands in messages: quoted text, shortened. */
const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
};

/** The checked value, or undefined if it is not allowed. */
const convert = (kind: SettingKind, value: unknown): unknown => {
  switch (kind.type) {
    case 'text': {
      const text = typeof value === 'number' ? String(value) : value;
      return typeof text === 'string' && kind.pattern.test(text) ? text : undefined;
    }
    case 'address':
      return typeof value === 'string' ? parseAddress(value.trim()) : undefined;
    case 'advertised': {
      if (value === '') return '';
      const address = typeof value === 'string' ? parseAddress(value.trim()) : undefined;
      return address === undefined || address.port === 0 ? undefined : formatAddress(address);
    }
    case 'addresses':
      return convertList(value, (item) => {
        const address = parseAddress(item);
        return address === undefined ? undefined : formatAddress(address);
      });
    case 'hosts':
      return convertList(value, (item) => {
        const address = parseAddress(`${item.includes(':') && !item.startsWith('[') ? `[${item}]` : item}:0`);
        return address?.host.toLowerCase();
      });
    case 'integer': {
      const number = typeof value === 'string' && /^\d{1,15}$/.test(value.trim()) ? Number(value) : value;
      if (typeof number !== 'number' || !Number.isInteger(number)) return undefined;
      return number < kind.min || number > kind.max ? undefined : number * (kind.scale ?? 1);
    }
    case 'choice':
      return typeof value === 'string' && kind.choices.includes(value) ? value : undefined;
    case 'switch':
      return value === true || value === 'true' ? true : value === false || value === 'false' ? false : undefined;
  }
};

const convertList = (value: unknown, convertItem: (item: string) => string | undefined): string[] | undefined => {
  const items = typeof value === 'string' ? value.split(',') : value;
  if (!Array.isArray(items)) return undefined;
  const converted: string[] = [];
  for (const item of items) {
    if (typeof item !== 'string') return undefined;
    const text = item.trim();
    if (text === '' && items.length === 1) continue;
    const result = convertItem(text);
    if (result === undefined) return undefined;
    converted.push(result);
  }
  return converted;
};

const settingSchema = (setting: Setting) =>
  z.unknown().transform((value, context) => {
    const converted = convert(setting.kind, value);
    if (converted !== undefined) return converted;
    context.addIssue({ code: 'custom', message: refuse(setting, value) });
    return z.NEVER;
  });

/** Checks the settings of one source: known names only, allowed values only; all are optional. */
export const partialConfigSchema = z.strictObject(
  Object.fromEntries(SETTINGS.map((setting) => [setting.key, settingSchema(setting).optional()])),
);
