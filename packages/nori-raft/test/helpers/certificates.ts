// Certificates for tests, made anew each time with the openssl that is installed.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface PemTexts {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** An authority, and a certificate of it for each name. */
export function makeCertificates<Name extends string>(names: readonly Name[]): Record<Name, PemTexts> {
  const directory = mkdtempSync(join(tmpdir(), 'nori-raft-tls-'));
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' });
  const read = (name: string) => readFileSync(join(directory, name), 'utf8');
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  try {
    openssl(
      'req',
      '-x509',
      ...newKey,
      '-keyout',
      'ca.key',
      '-out',
      'ca.pem',
      '-days',
      '2',
      '-subj',
      '/CN=test authority',
    );
    const made = names.map((name) => {
      openssl('req', ...newKey, '-keyout', 'node.key', '-out', 'node.csr', '-subj', '/CN=node');
      writeFileSync(join(directory, 'node.ext'), `subjectAltName=DNS:${name}\n`);
      const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'node.ext'];
      openssl('x509', '-req', '-in', 'node.csr', ...by, '-out', 'node.pem');
      return [name, { ca: read('ca.pem'), cert: read('node.pem'), key: read('node.key') }] as const;
    });
    return Object.fromEntries(made) as Record<Name, PemTexts>;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
