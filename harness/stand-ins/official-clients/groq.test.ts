import { withOfficialClient } from './official-client.contract.ts';

await withOfficialClient('groq-sdk', () => import('./groq.contract.ts'));
