/**
 * Records the golden recordings anew: `npm run keep-goldens -- "what has changed, and why that is right"`. What has
 * changed in them is for a person to review before they are committed.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { harnessVersion } from './harness-version.ts';
import { promoteCommand } from './promote-command.ts';
import { runCommand } from './run-command.ts';
import { processTerminal } from './terminal.ts';

const providers = 'openai,openai-sse,groq,gsv,stream_gsv,elevenlabs,cosyvoice,fish,fish-live';
const terminal = processTerminal();
const version = harnessVersion();
const folder = mkdtempSync(join(tmpdir(), 'echokit-goldens-'));
try {
  await runCommand(terminal, ['recordings/golden/short-answer.toml'], {
    provider: providers.split(','),
    seed: 1,
    out: folder,
    quiet: true,
    version,
  });
  const [run] = readdirSync(folder);
  const options = { yes: true, out: 'recordings/golden', version };
  const [reason] = process.argv.slice(2);
  const named = { ...options, ...(reason !== undefined && { reason }) };
  process.exitCode = await promoteCommand(terminal, join(folder, run!), named);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit();
