// What a repair found and did, for programs and for the command line.
import type { LsmError } from '../errors.js';

/** A range of keys whose entries are lost, both ends included; undefined: it is not known how far it goes. */
export interface LostRange {
  readonly from: Uint8Array | undefined;
  readonly to: Uint8Array | undefined;
}

/** A table that is damaged or missing. */
export interface RepairedTable {
  /** Name of its file. */
  readonly file: string;
  /** Level it was in; undefined if the manifest that knew it is lost. */
  readonly level: number | undefined;
  /**
   * - `rewritten`: what could be read is in the database, the damaged file in the lost folder
   * - `given-up`: nothing could be read; the file is in the lost folder
   * - `missing`: there is no such file
   */
  readonly outcome: 'rewritten' | 'given-up' | 'missing';
  readonly problems: readonly LsmError[];
  readonly entriesKept: number;
  /** Undefined: it is not known how many there were. */
  readonly entriesLost: number | undefined;
  readonly blocksLost: number;
  /** Where lost entries may have been. */
  readonly lost: readonly LostRange[];
}

/** The own log. */
export interface RepairedLog {
  /**
   * - `none`: the database keeps no own log
   * - `kept`: it is sound, and stays as it is
   * - `salvaged`: what could be read is in tables now, the files of the log are in the lost folder
   */
  readonly outcome: 'none' | 'kept' | 'salvaged';
  readonly problems: readonly LsmError[];
  /**
   * Writes of the log that are kept: those that no table had, and, if tables have lost entries, all others too if that is safe. Without a
   * manifest all of them: it is not known what tables had.
   */
  readonly operationsKept: number;
  /**
   * Sequence numbers missing between those that are kept: writes that are lost, but also ingestions and writes that had failed. What is
   * missing at the end cannot be known.
   */
  readonly operationsMissing: number;
}

/** A keyspace whose name is lost. */
export interface RecoveredKeyspace {
  /** Its number in the database, by which its keys were found. */
  readonly id: number;
  /** The name that it was given: `recovered-` and the number. */
  readonly name: string;
}

/** What {@link repair} found and did. */
export interface RepairReport {
  /** False: nothing was damaged, and nothing was changed. */
  readonly damaged: boolean;
  /**
   * - `kept`: CURRENT and the manifest were sound
   * - `current-mended`: CURRENT was not, and names the newest manifest again: nothing is lost by that
   * - `rebuilt`: the list of tables was made anew of the tables that were found, which were merged, with the log, into one level
   */
  readonly manifest: 'kept' | 'current-mended' | 'rebuilt';
  /** Every damage that was found, with file and offset. */
  readonly problems: readonly LsmError[];
  /** Tables that were sound. */
  readonly tablesSound: number;
  /** The others. */
  readonly tables: readonly RepairedTable[];
  readonly log: RepairedLog;
  /** Keyspaces that were found by their keys alone. They have no settings. */
  readonly recoveredKeyspaces: readonly RecoveredKeyspace[];
  /** The folder with all that was replaced or given up; undefined if nothing was. */
  readonly lostDir: string | undefined;
  /** The files in it, relative to it. */
  readonly moved: readonly string[];
  /** What the loss may mean for what is read from now on, a sentence each. */
  readonly notes: readonly string[];
}

/** How far a repair or a check is. */
export interface RepairProgress {
  /** `tables`: check; `rewrite`: damaged tables; `merge`: all tables into one level; `log`: take over. */
  readonly phase: 'tables' | 'rewrite' | 'merge' | 'log';
  readonly done: number;
  /** Undefined: not known beforehand. */
  readonly total: number | undefined;
}
