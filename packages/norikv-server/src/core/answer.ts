// From a verdict of the state machine to the answers of a request's operations.
import { NodeError } from '../domain/node-error.js';
import type { WriteRequest } from '../ports/kv.js';
import type { Verdict } from './shard.js';
import { failRequest, type TimeRequest } from './turn.js';

/** Tells a request's sink what became of it. */
export const answer = (request: WriteRequest, verdict: Verdict): void => {
  const { operations, sink } = request;
  if (operations.length === 0) {
    (request as TimeRequest).settled(undefined);
    return;
  }
  if (verdict instanceof NodeError) {
    failRequest(request, verdict);
    return;
  }
  if (verdict === 'below_floor' || verdict === 'unknown') {
    failRequest(request, verdict === 'unknown' ? outcomeUnknown() : staleSequence());
    return;
  }
  if (verdict.status === 'done') {
    for (let i = 0; i < operations.length; i++) {
      sink.written(operations[i]!.tag, verdict.term, verdict.index, verdict.existed[i] ?? true);
    }
    return;
  }
  const current = verdict.index === 0 ? undefined : { term: verdict.term, index: verdict.index };
  const at = operations.length === 1 ? '' : ` (operation ${verdict.failedOperation} of the batch; nothing was written)`;
  const error =
    verdict.status === 'already_exists'
      ? new NodeError('ALREADY_EXISTS', `The key exists${at}.`, { current })
      : new NodeError(
          'VERSION_MISMATCH',
          `The key ${current === undefined ? 'does not exist' : 'has another version'}${at}.`,
          { current },
        );
  failRequest(request, error);
};

const outcomeUnknown = () =>
  new NodeError(
    'OUTCOME_UNKNOWN',
    'This retry is older than what the shard remembers: whether its first attempt was applied is not known. It was not applied now; read the key to decide.',
  );

const staleSequence = () =>
  new NodeError(
    'STALE_SEQUENCE',
    'The sequence is below the floor this client has declared resolved; it was not applied.',
  );
