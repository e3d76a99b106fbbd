import { Lsm, LsmError } from 'nori-lsm';

/** Adds to a counter that others change too: reads, and writes only if nobody has written since. */
export async function add(db: Lsm, name: string, amount: number): Promise<number> {
  for (;;) {
    const found = db.getEntry(name);
    const sum = Number(new TextDecoder().decode(found?.value)) + amount;
    try {
      await db.put(name, String(sum), { ifVersion: found?.version ?? 0 });
      return sum;
    } catch (error) {
      if (!(error instanceof LsmError && error.code === 'LSM_CONDITION_FAILED')) throw error;
    }
  }
}

export async function conditionalExample(dir: string): Promise<number> {
  const db = await Lsm.open({ dir });
  await Promise.all(Array.from({ length: 10 }, () => add(db, 'visits', 1)));
  // All or nothing: the seat is taken only if it is free and the show is still on.
  await db.put('show:7', 'on');
  await db.batch([
    { type: 'check', key: 'show:7', ifVersion: db.getEntry('show:7')?.version ?? 0 },
    { type: 'put', key: 'seat:7:12', value: 'alice', ifAbsent: true },
  ]);
  const visits = await add(db, 'visits', 0);
  await db.close();
  return visits;
}
