// How the figures of tables are written.

export const perSecond = (figure) =>
  `${figure < 1e6 ? `${(figure / 1000).toFixed(figure < 1e5 ? 1 : 0)}k` : `${(figure / 1e6).toFixed(2)}M`}/s`;
export const times = (figure) => figure.toFixed(2);
export const milliseconds = (figure) => `${figure.toFixed(1)} ms`;
export const seconds = (figure) => (figure < 1 ? `${(figure * 1000).toFixed(0)} ms` : `${figure.toFixed(2)} s`);
export const mibPerSecond = (figure) => `${figure.toFixed(0)} MiB/s`;
export const microseconds = (figure) => `${figure.toFixed(figure < 10 ? 2 : 1)} µs`;
export const kibibytes = (figure) => `${figure.toFixed(1)} KiB`;
export const factor = (figure) => `${figure.toFixed(2)} x`;
export const fineMilliseconds = (figure) => `${figure.toFixed(2)} ms`;
export const percent = (figure) => `${figure.toFixed(1)} %`;
