// Typed events: what happened inside a component, for dashboards, logs and tests. Numbers carry their unit in the name.

/** Fields every event has. */
interface EventBase {
  /** Wall-clock time in milliseconds since the epoch, from the component's injected clock. */
  readonly atMs: number;
}

/** Events of nori-wal. */
export type WalEvent = EventBase &
  (
    | { readonly type: 'wal.recovered'; readonly segments: number; readonly records: number; readonly bytesCut: number }
    | { readonly type: 'wal.segment_rotated'; readonly segment: number }
    | { readonly type: 'wal.segments_removed'; readonly count: number }
    | { readonly type: 'wal.cut'; readonly position: number; readonly bytes: number }
    | { readonly type: 'wal.slow_sync'; readonly durationMs: number }
    | { readonly type: 'wal.poisoned'; readonly message: string }
  );

/** Events of nori-lsm. */
export type LsmEvent = EventBase &
  (
    | { readonly type: 'lsm.flushed'; readonly table: number; readonly bytes: number; readonly durationMs: number }
    | {
        readonly type: 'lsm.compacted';
        readonly fromLevel: number;
        readonly toLevel: number;
        readonly bytesIn: number;
        readonly bytesOut: number;
        readonly durationMs: number;
      }
    | { readonly type: 'lsm.stalled'; readonly reason: 'memtables' | 'l0' | 'ingest' }
    | { readonly type: 'lsm.stall_ended'; readonly durationMs: number }
    | { readonly type: 'lsm.background_error'; readonly message: string }
    | {
        /** A snapshot or cursor was garbage-collected without having been closed; what it held has been let go. */
        readonly type: 'lsm.snapshot_leaked';
        readonly held: 'snapshot' | 'cursor';
        /** What it saw ends with this sequence number. */
        readonly sequence: number;
        readonly openMs: number;
      }
    | {
        /** The database was closed while so many snapshots were open. */
        readonly type: 'lsm.closed_with_snapshots';
        readonly snapshots: number;
      }
  );

/** Events of the server. */
export type NodeEvent = EventBase &
  (
    | { readonly type: 'node.ready'; readonly nodeId: string }
    | { readonly type: 'node.draining'; readonly nodeId: string }
    | { readonly type: 'node.writes_refused'; readonly reason: string }
    | { readonly type: 'node.writes_resumed' }
  );

/** Events of nori-swim, about other members as one node sees them. */
export type SwimEvent = EventBase &
  (
    | {
        readonly type: 'swim.alive';
        readonly memberId: string;
        readonly incarnation: number;
        readonly reason: 'joined' | 'restarted' | 'returned' | 'refuted';
      }
    | {
        /** `helpers` were asked to ping it as well; `nacks` of them got no answer either. */
        readonly type: 'swim.suspect';
        readonly memberId: string;
        readonly incarnation: number;
        readonly by: string;
        readonly helpers: number;
        readonly nacks: number;
      }
    | {
        /** It counts as dead. */
        readonly type: 'swim.confirm';
        readonly memberId: string;
        readonly incarnation: number;
        readonly by: string;
        readonly suspectedBy: readonly string[];
      }
    | { readonly type: 'swim.leave'; readonly memberId: string; readonly incarnation: number }
  );

/** Every event a NoriKV component can emit, told apart by `type`. */
export type VizEvent = WalEvent | LsmEvent | NodeEvent | SwimEvent;
