// Sessions in nori-lsm, with the methods that express-session and connect ask of a store. A session is one entry that expires by
// itself: nothing has to look for old ones.
//
//   with node:http      new SessionStore(db)
//   with express        const Store = sessionStore(session.Store); app.use(session({ store: new Store(db), … }))
import { EventEmitter } from 'node:events';

const PREFIX = 'session:';
const DAY_MS = 24 * 60 * 60 * 1000;

/** The store on top of the base class that the framework wants. */
export const sessionStore = (Base) =>
  class SessionStore extends Base {
    #db;
    #ttlMs;
    /** The last operation on each session that is being written: operations on one session take turns. */
    #turns = new Map();

    /**
     * @param db an open Lsm; closing it is the caller's
     * @param options.ttlMs how long a session lives whose cookie does not say; default one day
     */
    constructor(db, { ttlMs = DAY_MS } = {}) {
      super();
      this.#db = db;
      this.#ttlMs = ttlMs;
    }

    get(id, done) {
      answer(done, async () => parse(this.#db.getSync(PREFIX + id)));
    }

    set(id, session, done) {
      answer(done, () => this.#inTurn(id, () => this.#put(id, session)));
    }

    /** Makes a session live on from now. One that is gone stays gone. */
    touch(id, session, done) {
      answer(done, () =>
        this.#inTurn(id, async () => {
          const stored = parse(this.#db.getSync(PREFIX + id));
          if (stored !== undefined) await this.#put(id, { ...stored, cookie: session.cookie });
        }),
      );
    }

    destroy(id, done) {
      answer(done, () => this.#inTurn(id, () => this.#db.delete(PREFIX + id)));
    }

    all(done) {
      answer(done, async () => {
        const sessions = [];
        for await (const [, value] of this.#db.scan({ prefix: PREFIX })) sessions.push(parse(value));
        return sessions;
      });
    }

    length(done) {
      answer(done, async () => {
        let count = 0;
        for await (const _ of this.#db.scan({ prefix: PREFIX })) count++;
        return count;
      });
    }

    #put(id, session) {
      const ttlMs = session.cookie?.maxAge ?? this.#ttlMs;
      // What has expired already is not stored at all.
      return ttlMs > 0 ? this.#db.put(PREFIX + id, JSON.stringify(session), { ttlMs }) : this.#db.delete(PREFIX + id);
    }

    /** Without this, a `touch` that has read the session could write it back after a `destroy`. */
    async #inTurn(id, work) {
      const before = this.#turns.get(id) ?? Promise.resolve();
      const turn = before.then(work, work);
      this.#turns.set(id, turn);
      try {
        return await turn;
      } finally {
        if (this.#turns.get(id) === turn) this.#turns.delete(id);
      }
    }
  };

/** The store for those who want no framework. */
export const SessionStore = sessionStore(EventEmitter);

const parse = (bytes) => (bytes === undefined ? undefined : JSON.parse(new TextDecoder().decode(bytes)));

/** Callbacks are what the frameworks know. */
const answer = (done = () => {}, work) => {
  work().then(
    (result) => done(null, result),
    (error) => done(error),
  );
};
