// Measures the same thing with several stores in one run. The stores take turns within each repetition, so that a drift of
// the machine hits all alike. Rows take their figure from what each store's measurements gave; a limit is a number, or so
// many times the figure of a peer.
import { median } from './median.mjs';

/** The figure that `limit` means, undefined if it needs a peer that was not measured. `and`: this must be reached as well. */
const resolveLimit = (limit, figures) => {
  if (typeof limit !== 'object') return limit;
  const { times, of, and = 0 } = limit;
  return figures[of] === undefined ? undefined : Math.max(times * figures[of], and);
};

/** What one row shows of the runs of its measurement. `runs`: by store, one result a repetition. */
const rowOf = (row, measurement, runs) => {
  const each = Object.fromEntries(
    Object.entries(runs).map(([store, results]) => [store, results.map((result) => result[row.figure])]),
  );
  const measured = Object.entries(each).filter(([, values]) => values.length > 0);
  const figures = Object.fromEntries(measured.map(([store, values]) => [store, median(values)]));
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
 * @returns its rows, each with the figures of all stores, every result, and what went wrong, if `goesOn`: then a measurement that fails
 * leaves a gap in the table instead of ending the run
 */
export const measureSideBySide = async (measurement, available, plan, say) => {
  const stores = measurement.stores.filter((store) => available.includes(store));
  const runs = Object.fromEntries(stores.map((store) => [store, []]));
  const failures = [];
  for (let repetition = 1; repetition <= plan.repetitions; repetition++) {
    for (const store of stores) {
      let result;
      try {
        result = await measurement.measure(store, plan);
      } catch (error) {
        if (!measurement.goesOn) throw error;
        failures.push(`${store}: ${error.message}`);
        say(`${measurement.id}, ${repetition} of ${plan.repetitions}, ${store} failed: ${error.message}`);
        continue;
      }
      runs[store].push(result);
      const figures = measurement.rows.map((row) => row.format(result[row.figure])).join(', ');
      say(`${measurement.id}, ${repetition} of ${plan.repetitions}, ${store}: ${figures}`);
    }
  }
  const withFigures = Object.fromEntries(Object.entries(runs).filter(([, results]) => results.length > 0));
  const notes = measurement.notesOf?.(withFigures) ?? [];
  return {
    id: measurement.id,
    runs,
    notes,
    failures,
    rows: measurement.rows.map((row) => rowOf(row, measurement, runs)),
  };
};
