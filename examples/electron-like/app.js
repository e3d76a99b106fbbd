// What Electron calls `app`, as far as this example needs it, so that it also runs in plain Node. In Electron it is the real one.
const { EventEmitter } = require('node:events');
const { join } = require('node:path');

class App extends EventEmitter {
  whenReady() {
    return new Promise((resolve) => setImmediate(resolve));
  }

  getPath(name) {
    return join(process.env.APP_DATA ?? join(process.cwd(), 'data'), name);
  }

  /** Asks everyone who listens, any of whom may want to do something first, and ends the process. */
  quit() {
    let isPrevented = false;
    this.emit('before-quit', { preventDefault: () => (isPrevented = true) });
    if (!isPrevented) process.exit(0);
  }
}

exports.app = process.versions.electron === undefined ? new App() : require('electron').app;
