import { withOfficialClient } from './official-client.contract.ts';

await withOfficialClient('@elevenlabs/elevenlabs-js', () => import('./elevenlabs.contract.ts'));
