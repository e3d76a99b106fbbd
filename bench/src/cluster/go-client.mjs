// Builds the load generator that uses etcd's own Go client, against the sources that Debian installs. The binary goes where temporary
// files go and is made once a run.
import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { temporaryPath } from '../storage/children.mjs';

const SOURCE = fileURLToPath(new URL('./etcd-client', import.meta.url));
/** Where golang-*-dev packages put their sources. */
const GOPATH = '/usr/share/gocode';
const CLIENT = join(GOPATH, 'src/go.etcd.io/etcd/clientv3');

let building;

const build = async () => {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' });
  } catch {
    throw new Error('there is no Go; apt-get install golang-go golang-etcd-server-dev');
  }
  if (!existsSync(CLIENT)) throw new Error(`${CLIENT} is missing; apt-get install golang-etcd-server-dev`);
  const binary = temporaryPath('etcd-client');
  const cache = join(dirname(binary), 'cache');
  const env = { ...process.env, GO111MODULE: 'off', GOPATH, GOFLAGS: '', GOCACHE: cache };
  await promisify(execFile)('go', ['build', '-o', binary, '.'], { cwd: SOURCE, env });
  return binary;
};

/** The path of the program. Rejects if it cannot be built, with the reason. */
export const goClient = () => (building ??= build());
