import { withOfficialClient } from './official-client.contract.ts';

await withOfficialClient('fish-audio', () => import('./fish.contract.ts'));
