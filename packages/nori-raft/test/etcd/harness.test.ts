// The harness itself: that it reads the format, and that it sees a difference when there is one. Needs no test data.
import { describe, expect, test } from 'vitest';
import { parseDirectives } from './data-driven.js';
import { InteractionOutput, normalized } from './interaction-output.js';
import { InteractionTranscript } from './interaction-transcript.js';
import { membershipTranscript } from './membership-transcript.js';
import { runQuorumDirective } from './quorum-transcript.js';

function parse(text: string) {
  return parseDirectives('file', text);
}

function interact(...commands: string[]): string[] {
  const transcript = new InteractionTranscript();
  return parse(commands.map((command) => `${command}\n----\n`).join('\n')).map((one) => transcript.run(one));
}

describe('The reader of recorded tests', () => {
  test('Arguments have no value, one, or several, with parentheses inside', () => {
    expect(parse('do 1 a=b c= d=(1, 2,x(y,z)) e=()\n----\nok\n')[0]).toEqual({
      position: 'file:1',
      command: 'do',
      args: [
        { key: '1', values: [] },
        { key: 'a', values: ['b'] },
        { key: 'c', values: [''] },
        { key: 'd', values: ['1', '2', 'x(y,z)'] },
        { key: 'e', values: [''] },
      ],
      input: '',
      expected: 'ok\n',
    });
  });

  test('Comments, input, blank lines and continued lines are told apart', () => {
    const text =
      '# note\n\none \\\n  2\ninput\n\nmore\n----\na\nb\n\n# note\ntwo\n----\n----\nx\n\ny\n----\n----\n\nthree\n----\n';
    const found = parse(text).map(({ position, command, args, input, expected }) => ({
      position,
      command: [command, ...args.map(({ key }) => key)].join(' '),
      input,
      expected,
    }));
    expect(found).toEqual([
      { position: 'file:3', command: 'one 2', input: 'input\n\nmore', expected: 'a\nb\n' },
      { position: 'file:13', command: 'two', input: '', expected: 'x\n\ny\n' },
      { position: 'file:22', command: 'three', input: '', expected: '' },
    ]);
  });

  test('A parenthesis that is not closed is an error that names the line', () => {
    expect(() => parse('\ndo a=(1\n----\n')).toThrow('file:2');
  });
});

describe('The comparison of interactions', () => {
  test('Leaves out log lines and the encoding of configuration changes, and nothing else', () => {
    const recorded = 'INFO 1 became leader\n> 1 handling Ready\n  DEBUG x\n  1/3 EntryConfChangeV2 v2\n';
    expect(normalized(recorded)).toBe('> 1 handling Ready\n  1/3 EntryConfChange v2\n');
    expect(normalized('INFO only\n')).toBe(normalized('ok'));
    expect(normalized('1->2 MsgApp Term:1 Log:1/2\n')).not.toBe(normalized('1->2 MsgApp Term:1 Log:1/3\n'));
    expect(normalized('a\nb\n')).not.toBe(normalized('b\na\n'));
    expect(normalized('no messages\n')).not.toBe(normalized('ok\n'));
  });

  test('Level NONE mutes the harness, and other levels do not', () => {
    const output = new InteractionOutput();
    expect(output.setLevel('none')).toBeUndefined();
    output.line('unheard');
    expect(output.atLevel('debug', () => void output.indented(() => output.line('heard')))).toBeUndefined();
    output.line('unheard');
    expect(output.text).toBe('  heard\n');
    expect(output.setLevel('loud')).toBe('log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]');
  });
});

describe('The commands of interactions', () => {
  test('A single replica elects itself and applies what it proposes', () => {
    const out = interact(
      'add-nodes 1 voters=(1) index=3',
      'campaign 1',
      'stabilize',
      'propose 1 x',
      'stabilize',
      'raft-log 1',
      'raft-state',
    );
    expect([out[0], out[1], out[3]]).toEqual(['ok', 'ok', 'ok']);
    expect(out[2]).toMatch(
      /^> 1 handling Ready\n {2}Ready MustSync=true:\n {2}Lead:0 State:StateCandidate\n {2}HardState Term:1 Vote:1 Commit:3\n/,
    );
    expect(out[4]).toContain('  CommittedEntries:\n  1/5 EntryNormal "x"\n');
    expect(out[5]).toBe('1/4 EntryNormal ""\n1/5 EntryNormal "x"\n');
    expect(out[6]).toBe('1: StateLeader (Voter) Term:1 Lead:1\n');
  });

  test('Asynchronous appends wait for their thread, and their responses keep their order', () => {
    const out = interact(
      'add-nodes 3 voters=(1,2,3) index=3 async-storage-writes=true',
      'campaign 1',
      'process-ready 1',
      'process-append-thread 1',
      'process-append-thread 1',
      'deliver-msgs drop=(1)',
      'deliver-msgs 1',
    );
    expect(out[2]).toContain(
      '1->AppendThread MsgStorageAppend Term:1 Log:0/0 Commit:3 Vote:1 Responses:[\n  1->1 MsgVoteResp Term:1 Log:0/0\n]\n',
    );
    expect(out.slice(3)).toEqual([
      'Processing:\n1->AppendThread MsgStorageAppend Term:1 Log:0/0 Commit:3 Vote:1\nResponses:\n1->1 MsgVoteResp Term:1 Log:0/0\n',
      'no append work to perform',
      // What a replica sends itself is never lost.
      'no messages\n',
      '1->1 MsgVoteResp Term:1 Log:0/0\n',
    ]);
  });

  test('Messages are delivered or dropped by recipient and type', () => {
    const out = interact(
      'add-nodes 3 voters=(1,2,3) index=3',
      'campaign 1',
      'process-ready 1',
      'deliver-msgs drop=(2)',
      'deliver-msgs 3 type=MsgApp',
      'deliver-msgs 3 type=MsgVote',
      'process-ready 2',
    );
    expect(out.slice(3)).toEqual([
      'dropped: 1->2 MsgVote Term:1 Log:1/3\n',
      'no messages\n',
      '1->3 MsgVote Term:1 Log:1/3\n',
      '<empty Ready>',
    ]);
  });

  test.each([
    ['nonsense', 'unknown command'],
    ['add-nodes 1 voters=(1)', 'index must be specified as > 1 due to bootstrap'],
    ['add-nodes 1 voters=(1) index=2 read-only=maybe', 'invalid read-only option "maybe"'],
    ['add-nodes 1 inflight=0', 'max inflight messages must be greater than 0'],
    ['add-nodes 1 read-only=lease-based', 'CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased'],
    ['log-level loud', 'log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]'],
  ])('What etcd refuses is refused in its words: %s', (command, text) => {
    expect(interact(command)).toEqual([text]);
  });

  test('What a replica refuses is printed in the words of etcd', () => {
    const out = interact(
      'add-nodes 2 voters=(1,2) index=3',
      'propose 1 x',
      'transfer-leadership from=1 to=2',
      'compact 1 2',
      'propose-conf-change 1 transition=odd',
      'propose-conf-change 1 odd=1',
      'propose-conf-change 1 v1=true\nv3 v4',
      'propose-conf-change 1\nx3',
      'report-unreachable 1',
      'raft-log 1',
    );
    expect(out.slice(1)).toEqual([
      'raft proposal dropped',
      'ok',
      'requested index is unavailable due to compaction',
      'unknown transition odd',
      'unknown command odd',
      'v1 conf change can only have one operation and no transition',
      'unknown input: x3',
      'must specify exactly two node indexes: node on which to report, and reported node',
      'log is empty: first index=4, last index=3',
    ]);
  });
});

describe('The other recorded tests', () => {
  test('A quorum is drawn with its committed index', () => {
    const [one, two] = parse('committed cfg=(1,2,3) idx=(5,_,7)\n----\n\nvote cfg=(1,2) cfgj=zero votes=(y,n)\n----\n');
    expect(runQuorumDirective(one!)).toBe(
      '       idx\nx>       5    (id=1)\n?        0    (id=2)\nxx>      7    (id=3)\n5\n',
    );
    expect(runQuorumDirective(two!)).toBe('VoteLost\n');
  });

  test('A refused configuration change is printed in the words of etcd', () => {
    const run = membershipTranscript();
    const out = parse('simple\nv1\n----\n\nsimple\nr1\n----\n\nenter-joint autoleave=true\nv2 l1\n----\n').map(run);
    expect(out).toEqual([
      'voters=(1)\n1: StateProbe match=0 next=1\n',
      'removed all voters\n',
      'voters=(2)&&(1) learners_next=(1) autoleave\n1: StateProbe match=0 next=1\n2: StateProbe match=0 next=2\n',
    ]);
  });
});
