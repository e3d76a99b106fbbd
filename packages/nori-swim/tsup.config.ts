import { library } from '../../tsup.base.js';

export default library({ index: 'src/index.ts', sim: 'src/sim.ts' });
