import { withOfficialClient } from './official-client.contract.ts';

await withOfficialClient('openai', () => import('./openai-dialogue.contract.ts'));
