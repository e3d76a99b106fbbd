// A durable job queue in nori-lsm: first in, first out; every job is done at least once.
//
//   ready:<number>    jobs that wait, in the order in which they came
//   leased:<number>   jobs that somebody works on; each knows until when it is his
//   last              the number of the newest job
//
// A job moves by one batch, which happens whole or not at all: it is never in both places, nor in neither.
import { Lsm } from 'nori-lsm';

const key = (place, number) => `${place}:${String(number).padStart(16, '0')}`;
const encode = (value) => JSON.stringify(value);
const decode = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

export class JobQueue {
  #db;
  #last;
  /** Operations take turns: what one of them decides on must not move meanwhile. */
  #turn = Promise.resolve();

  static async open(dir) {
    const db = await Lsm.open({ dir });
    const last = await db.get('last');
    const queue = new JobQueue(db, last === undefined ? 0 : decode(last));
    // A database has one process at a time: whoever held these leases is no more.
    await queue.#return(() => true);
    return queue;
  }

  constructor(db, last) {
    this.#db = db;
    this.#last = last;
  }

  /** Adds jobs, all or none of them. They are durable when this resolves. */
  enqueue(...payloads) {
    return this.#inTurn(async () => {
      const operations = payloads.map((payload, i) => {
        const job = { number: this.#last + 1 + i, payload, attempts: 0 };
        return { type: 'put', key: key('ready', job.number), value: encode(job) };
      });
      const last = this.#last + payloads.length;
      await this.#db.batch([...operations, { type: 'put', key: 'last', value: encode(last) }]);
      this.#last = last;
    });
  }

  /**
   * Takes the oldest job, for `visibilityMs`: if it is not done by then, somebody else gets it. Undefined if there is none.
   */
  reserve(visibilityMs = 30_000) {
    return this.#inTurn(async () => {
      await this.#return((job) => job.until <= Date.now());
      for await (const [readyKey, value] of this.#db.scan({ prefix: 'ready:', limit: 1 })) {
        const waiting = decode(value);
        const job = { ...waiting, attempts: waiting.attempts + 1, until: Date.now() + visibilityMs };
        await this.#db.batch([
          { type: 'delete', key: readyKey },
          { type: 'put', key: key('leased', job.number), value: encode(job) },
        ]);
        return job;
      }
    });
  }

  /** The job is done. False if it took too long and is somebody else's, or waits, again. */
  ack(job) {
    return this.#inTurn(async () => {
      const leased = await this.#db.get(key('leased', job.number));
      if (leased === undefined || decode(leased).attempts !== job.attempts) return false;
      await this.#db.delete(key('leased', job.number));
      return true;
    });
  }

  async close() {
    await this.#turn;
    await this.#db.close();
  }

  /** Puts leased jobs back in their old places: they are the oldest. */
  async #return(isOver) {
    const operations = [];
    for await (const [leasedKey, value] of this.#db.scan({ prefix: 'leased:' })) {
      const { until, ...job } = decode(value);
      if (!isOver({ ...job, until })) continue;
      operations.push({ type: 'delete', key: leasedKey });
      operations.push({ type: 'put', key: key('ready', job.number), value: encode(job) });
    }
    if (operations.length > 0) await this.#db.batch(operations);
  }

  #inTurn(work) {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}
