import { library } from '../../tsup.base.js';

export default library({
  index: 'src/index.ts',
  'lsm-worker': 'src/lsm-worker.ts',
  'abstract-level': 'src/abstract-level.ts',
  repair: 'src/repair.ts',
  cli: 'src/cli/main.ts',
});
