import { library } from '../../tsup.base.js';

export default library({
  index: 'src/index.ts',
  'wal-storage': 'src/wal-storage.ts',
  'tcp-transport': 'src/tcp-transport.ts',
});
