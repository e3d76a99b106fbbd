import { library } from '../../tsup.base.js';

export default library({ index: 'src/index.ts', 'tcp-transport': 'src/tcp-transport.ts' });
