// Histories for checkers from elsewhere: one JSON object a line, in the order of time, as Jepsen and Knossos have them:
// {"process":0,"type":"invoke","f":"write","value":["x",1],"time":17}, then `ok`, `fail` or `info` (unknown).
import { assertTimes, FAILED, type Operation, UNKNOWN } from './history.js';
import type { RegisterInput, RegisterOutput } from './register-map.js';

/** What an operation is called there, and its value at the call or, with an output, at the return. */
export type EventOf<Input, Output> = (input: Input, output?: Output) => { readonly f: string; readonly value: unknown };

interface Event {
  readonly process: number;
  readonly type: 'invoke' | 'ok' | 'fail' | 'info';
  readonly f: string;
  readonly value: unknown;
  readonly time: number;
}

/** Events of {@link registerMap}: values are [key, value], as of independent keys; that of cas is [key, [from, to]]. */
export const registerEvent: EventOf<RegisterInput, RegisterOutput> = (input, output) => {
  switch (input.f) {
    case 'get':
      return { f: 'read', value: [input.key, output ?? null] };
    case 'put':
      return { f: 'write', value: [input.key, input.value] };
    case 'delete':
      return { f: 'write', value: [input.key, null] };
    case 'cas':
      return { f: 'cas', value: [input.key, [input.expected ?? null, input.value]] };
    case 'increment':
      return { f: 'add', value: [input.key, input.by] };
  }
};

const lastOf = (output: unknown): 'ok' | 'fail' | 'info' => {
  if (output === UNKNOWN) return 'info';
  return output === FAILED ? 'fail' : 'ok';
};

/**
 * Writes a history, each line with its newline. A cas that did not write is a `fail`. After an operation of unknown
 * outcome its process is given a new number, since those checkers take the old one to be busy for ever; such an operation
 * without a time of return ends with the history.
 * @throws RangeError when a process calls before, or at the same time as, its last call returns
 */
export const historyLines = <Input, Output>(
  history: readonly Operation<Input, Output>[],
  eventOf: EventOf<Input, Output>,
): string => {
  assertTimes(history);
  const endAt = history.reduce((end, { callAt, returnAt }) => Math.max(end, callAt, returnAt ?? callAt), 0);
  const step = history.reduce((most, { process }) => Math.max(most, process), 0) + 1;
  const numbers = new Map<number, number>();
  const busyUntil = new Map<number, number>();
  const events: Event[] = [];
  for (const { process, input, output, callAt, returnAt } of [...history].sort((a, b) => a.callAt - b.callAt)) {
    if (callAt <= (busyUntil.get(process) ?? Number.NEGATIVE_INFINITY)) {
      throw new RangeError(`Process ${process} calls at ${callAt}, before its last call has returned.`);
    }
    busyUntil.set(process, returnAt ?? callAt);
    const number = numbers.get(process) ?? process;
    const invoked = eventOf(input);
    const type = invoked.f === 'cas' && (output as unknown) === false ? 'fail' : lastOf(output);
    if (type === 'info') numbers.set(process, number + step);
    const returned = type === 'ok' ? eventOf(input, output as Output) : invoked;
    events.push({ process: number, type: 'invoke', ...invoked, time: callAt });
    events.push({ process: number, type, ...returned, time: Number.isFinite(returnAt) ? returnAt! : endAt });
  }
  // At the same time calls come first: they count as concurrent.
  const isReturn = ({ type }: Event) => (type === 'invoke' ? 0 : 1);
  events.sort((a, b) => a.time - b.time || isReturn(a) - isReturn(b));
  return events.map((event) => `${JSON.stringify(event)}\n`).join('');
};
