// Measures the same thing with several stores in one run. The stores take turns within each repetition, so that a drift of
// the machine hits all alike. Rows take their figure from what each store's measurements gave; a limit is a number, or so
// many times the figure of a peer.
import { median } from './median.mjs';

/** The figure that `limit` means, undefined if it needs a peer that was not measured. */
const resolveLimit = (limit, figures) =>
  typeof limit === 'object' ? (figures[limit.of] === undefined ? undefined : limit.times * figures[limit.of]) : limit;

/** What one row shows of the runs of its measurement. `runs`: by store, one result a repetition. */
const rowOf = (row, measurement, runs) => {
  const each = Object.fromEntries(
    Object.entries(runs).map(([store, results]) => [store, results.map((result) => result[row.figure])]),
  );
  const figures = Object.fromEntries(Object.entries(each).map(([store, values]) => [store, median(values)]));
  return {
    ...row,
    measurement: measurement.id,
    each,
    figures,
    figure: figures.nori,
    floorFigure: resolveLimit(row.floor, figures),
    goalFigure: resolveLimit(row.goal, figures),
  };
};

/**
 * @param measurement `{ id, what, stores, measure(store, plan), rows }`
 * @param available names of the stores that can be used
 * @returns its rows, each with the figures of all stores, and every result
 */
export const measureSideBySide = async (measurement, available, plan, say) => {
  const stores = measurement.stores.filter((store) => available.includes(store));
  const runs = Object.fromEntries(stores.map((store) => [store, []]));
  for (let repetition = 1; repetition <= plan.repetitions; repetition++) {
    for (const store of stores) {
      const result = await measurement.measure(store, plan);
      runs[store].push(result);
      const figures = measurement.rows.map((row) => row.format(result[row.figure])).join(', ');
      say(`${measurement.id}, ${repetition} of ${plan.repetitions}, ${store}: ${figures}`);
    }
  }
  const notes = measurement.notesOf?.(runs) ?? [];
  return { id: measurement.id, runs, notes, rows: measurement.rows.map((row) => rowOf(row, measurement, runs)) };
};
