// The status page at `/`: one self-contained document, no libraries, nothing fetched from elsewhere. It reads `/health`
// for its first view and then follows `/ws/events?format=json`; text from the node is only ever set as text.

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --dim: #888; --good: #2a9d57; --bad: #d1453b; }
body { font: 14px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1.5rem; }
h1 { font-size: 1.3rem; margin: 0; } h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
header { display: flex; gap: .75rem; align-items: baseline; flex-wrap: wrap; }
#verdict { font-weight: 600; } .good { color: var(--good); } .bad { color: var(--bad); } .dim { color: var(--dim); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .5rem; margin: 0; }
dl div { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .75rem; }
dt { color: var(--dim); font-size: .8rem; } dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .2rem .5rem; border-bottom: 1px solid var(--line); }
ol { list-style: none; margin: 0; padding: 0; font: 12px/1.6 ui-monospace, monospace; max-height: 24rem; overflow: auto; }
`;

const SCRIPT = `
const $ = (id) => document.getElementById(id);
const bytes = (n) => { let i = 0; while (n >= 1024 && i < 4) { n /= 1024; i++; } return (i ? n.toFixed(1) : n) + ' ' + ['B','KiB','MiB','GiB','TiB'][i]; };
const duration = (ms) => { const s = Math.floor(ms / 1000); return s < 120 ? s + ' s' : s < 7200 ? Math.floor(s / 60) + ' min' : (s / 3600).toFixed(1) + ' h'; };
const cells = (id, pairs) => $(id).replaceChildren(...pairs.map(([name, value]) => {
  const box = document.createElement('div'), dt = document.createElement('dt'), dd = document.createElement('dd');
  dt.textContent = name; dd.textContent = value; box.append(dt, dd); return box;
}));
const show = (s) => {
  document.title = s.nodeId + ' - NoriKV';
  $('node').textContent = s.nodeId;
  $('verdict').textContent = s.ready ? 'ready' : s.draining ? 'draining' : 'not ready';
  $('verdict').className = s.ready ? 'good' : 'bad';
  $('reasons').textContent = s.reasons.join('; ');
  cells('about', [['Version', s.version], ['Uptime', duration(s.uptimeMs)], ['Cluster', s.clusterId.slice(0, 12)],
    ['Shards in use', s.activeShards + ' of ' + s.shardCount]]);
  cells('storage', [['Memtables', s.storage.memtables + ', ' + bytes(s.storage.memtableBytes)], ['Tables', bytes(s.storage.tableBytes)],
    ['Block cache', bytes(s.storage.blockCacheBytes)], ['Log', s.log.segments + ' segments, ' + bytes(s.log.bytes)]]);
  $('levels').replaceChildren(...s.storage.levelTables.map((tables, level) => {
    const row = document.createElement('tr');
    for (const text of ['L' + level, tables, bytes(s.storage.levelBytes[level] || 0)]) row.insertCell().textContent = text;
    return row;
  }));
};
const add = (text, dim) => {
  const line = document.createElement('li');
  line.textContent = text; if (dim) line.className = 'dim';
  $('events').prepend(line);
  while ($('events').childElementCount > 200) $('events').lastChild.remove();
};
const event = ({ atMs, type, ...rest }) => add(new Date(atMs).toLocaleTimeString() + '  ' + type + '  ' +
  Object.entries(rest).map(([name, value]) => name + '=' + value).join(' '));
let wait = 500;
const follow = () => {
  const socket = new WebSocket('ws://' + location.host + '/ws/events?format=json');
  socket.onopen = () => { wait = 500; $('live').textContent = 'live'; };
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if (frame.status) show(frame.status);
    if (frame.dropped) add(frame.dropped + ' events were dropped', true);
    if (frame.events) frame.events.forEach(event);
  };
  socket.onclose = () => {
    $('live').textContent = 'disconnected, trying again';
    setTimeout(follow, wait); wait = Math.min(wait * 2, 10000);
  };
};
fetch('/health').then((r) => r.json()).then(show).catch(() => {});
follow();
`;

/** The document. */
export const STATUS_PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>NoriKV</title><link rel="icon" href="data:,"><style>${STYLE}</style></head><body>
<header><h1>NoriKV <span id="node"></span></h1><span id="verdict"></span><span id="reasons"></span><span id="live" class="dim"></span></header>
<h2>Node</h2><dl id="about"></dl>
<h2>Storage</h2><dl id="storage"></dl>
<table><thead><tr><th>Level</th><th>Tables</th><th>Size</th></tr></thead><tbody id="levels"></tbody></table>
<h2>Events</h2><ol id="events"></ol>
<p class="dim"><a href="/metrics">Metrics</a> &middot; <a href="/health">Health</a> &middot; <a href="/meta/cluster">Cluster</a></p>
<script>${SCRIPT}</script></body></html>
`;
