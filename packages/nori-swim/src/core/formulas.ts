// The formulas of the protocol, from SWIM (Das, Gupta, Motivala, 2002), Lifeguard (Dadgar, Phillips, Currey, 2017) and memberlist.
// `members` counts those that are not dead and have not left, this node included.

/**
 * How often a node passes a rumour on: `mult * ceil(log10(members + 1))`, and twice `mult` from 6 members on. (With 4 transmissions, one
 * rumour in fourteen would miss one of nine members.)
 */
export function retransmitLimit(members: number, mult: number): number {
  return mult * Math.max(members < 6 ? 1 : 2, Math.ceil(Math.log10(members + 1)));
}

/** Shortest time from a suspicion to a conviction: `mult * max(1, log10(members)) * probeInterval`. */
export function suspicionMinMs(members: number, mult: number, probeIntervalMs: number): number {
  return mult * Math.max(1, Math.log10(Math.max(1, members))) * probeIntervalMs;
}

/**
 * How many others must confirm a suspicion until its time is shortest. memberlist takes none as soon as there are fewer than `mult`
 * members, so that three nodes get nothing of Lifeguard; here it is as many as there can be.
 */
export function confirmationsWanted(members: number, mult: number): number {
  return Math.max(0, Math.min(mult - 2, members - 2));
}

/** Time from a suspicion to a conviction after `confirmations` of `wanted`: it falls from `maxMs` to `minMs` with their logarithm. */
export function suspicionTimeoutMs(confirmations: number, wanted: number, minMs: number, maxMs: number): number {
  if (wanted === 0) return minMs;
  const share = Math.log(confirmations + 1) / Math.log(wanted + 1);
  return Math.max(minMs, maxMs - (maxMs - minMs) * share);
}

/** Views are exchanged less often in clusters of over 32 members: the interval grows with the logarithm of their number. */
export function pushPullIntervalMs(members: number, baseMs: number): number {
  if (members <= 32) return baseMs;
  return baseMs * (Math.ceil(Math.log2(members) - Math.log2(32)) + 1);
}
