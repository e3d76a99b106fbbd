import { library } from '../../tsup.base.js';

export default library({ index: 'src/index.ts', process: 'src/process.ts', prometheus: 'src/prometheus.ts' });
