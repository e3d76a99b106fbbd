// Configuration changes as the bytes of a log entry (docs/formats/raft-conf-change.md):
//
//   version 1 | transition u8 | steps varint | (type u8, id varint) each | context to the end
//
// The empty change, which leaves a joint configuration, is zero bytes: a leader must be able to propose it whatever
// limits of size there are. Every change has exactly one encoding.
import { RaftError } from './errors.js';
import type { ConfChange, ConfChangeStep, ConfChangeTransition, ConfChangeType } from './types.js';

const VERSION = 1;
const STEPS_MAX = 0xffff_ffff;
// Positions are what is stored: append only.
const TRANSITIONS: readonly ConfChangeTransition[] = ['auto', 'joint-implicit', 'joint-explicit'];
const TYPES: readonly ConfChangeType[] = ['add-voter', 'add-learner', 'remove', 'update'];
const EMPTY = new Uint8Array(0);

/** @throws RaftError RAFT_CONF_CHANGE_INVALID when a transition, type or id is none */
export function encodeConfChange(change: ConfChange): Uint8Array {
  const { transition, steps, context = EMPTY } = change;
  const transitionCode = TRANSITIONS.indexOf(transition);
  if (transitionCode < 0) throw invalid(`"${String(transition)}" is no transition`);
  if (transitionCode === 0 && steps.length === 0 && context.length === 0) return EMPTY;
  let size = 2 + varintSize(steps.length) + context.length;
  for (const { id } of steps) {
    if (!Number.isSafeInteger(id) || id < 0) throw invalid(`${id} is no replica id`);
    size += 1 + varintSize(id);
  }
  const out = new Uint8Array(size);
  out[0] = VERSION;
  out[1] = transitionCode;
  let at = writeVarint(out, 2, steps.length);
  for (const { type, id } of steps) {
    const code = TYPES.indexOf(type);
    if (code < 0) throw invalid(`"${String(type)}" is no type of change`);
    out[at++] = code;
    at = writeVarint(out, at, id);
  }
  out.set(context, at);
  return out;
}

/** @throws RaftError RAFT_CORRUPT_STATE naming the offset */
export function decodeConfChange(data: Uint8Array): ConfChange {
  if (data.length === 0) return { transition: 'auto', steps: [] };
  if (data[0] !== VERSION) throw corrupt(0, `version ${data[0]} is unknown`);
  if (data.length < 2) throw corrupt(1, 'it ends too soon');
  const transition = TRANSITIONS[data[1]!];
  if (transition === undefined) throw corrupt(1, `transition ${data[1]} is unknown`);
  const reader = { data, at: 2 };
  const count = readVarint(reader);
  // Each step takes two bytes at least: a count that lies allocates nothing.
  if (count > STEPS_MAX || count > (data.length - reader.at) / 2) throw corrupt(2, `${count} steps do not fit`);
  const steps: ConfChangeStep[] = [];
  for (let i = 0; i < count; i++) {
    if (reader.at >= data.length) throw corrupt(reader.at, 'it ends too soon');
    const type = TYPES[data[reader.at]!];
    if (type === undefined) throw corrupt(reader.at, `type ${data[reader.at]} is unknown`);
    reader.at++;
    steps.push({ type, id: readVarint(reader) });
  }
  if (reader.at < data.length) return { transition, steps, context: data.subarray(reader.at) };
  if (count === 0 && transition === 'auto') throw corrupt(0, 'the empty change must be zero bytes');
  return { transition, steps };
}

interface Reader {
  readonly data: Uint8Array;
  at: number;
}

// LEB128 without BigInt: up to eight bytes, below 2^53, minimal.
function readVarint(reader: Reader): number {
  const start = reader.at;
  let value = 0;
  let scale = 1;
  for (;;) {
    const byte = reader.data[reader.at];
    if (byte === undefined) throw corrupt(reader.at, 'it ends too soon');
    reader.at++;
    value += (byte & 0x7f) * scale;
    if (value > Number.MAX_SAFE_INTEGER) throw corrupt(start, 'a number is above 2^53 - 1');
    if (byte < 0x80) {
      if (byte === 0 && scale > 1) throw corrupt(start, 'a number is not in its shortest form');
      return value;
    }
    if (reader.at - start === 8) throw corrupt(start, 'a number is longer than 8 bytes');
    scale *= 0x80;
  }
}

function writeVarint(out: Uint8Array, offset: number, value: number): number {
  let at = offset;
  let rest = value;
  while (rest >= 0x80) {
    out[at++] = (rest % 0x80) + 0x80;
    rest = Math.floor(rest / 0x80);
  }
  out[at++] = rest;
  return at;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

function corrupt(offset: number, why: string): RaftError {
  return new RaftError(
    'RAFT_CORRUPT_STATE',
    `A configuration change is unreadable at offset ${offset}: ${why}. Stop this replica; restore it from another one.`,
  );
}

function invalid(why: string): RaftError {
  return new RaftError('RAFT_CONF_CHANGE_INVALID', `Configuration change refused: ${why}.`);
}
