import { exitCode } from './exit-code.ts';
import { chooseProviders } from './provider-choice.ts';
import {
  defaultScenarioFolder,
  findScenarioFiles,
  loadScenarios,
  scenarioCatalog,
} from './scenario-files.ts';
import type { Terminal } from './terminal.ts';

/** `validate`: says for each scenario what it is, or for all what is wrong with them. */
export async function validateCommand(
  terminal: Terminal,
  paths: readonly string[],
  options: { readonly config?: string },
): Promise<number> {
  const choice = chooseProviders(terminal, options.config);
  const files = findScenarioFiles(paths.length === 0 ? [defaultScenarioFolder()] : paths);
  const scenarios = loadScenarios(files, scenarioCatalog([...choice.entries.keys()]));
  for (const scenario of scenarios) {
    const turns = scenario.turns.length;
    terminal.print(
      `${scenario.file}: ok, ${turns} ${turns === 1 ? 'turn' : 'turns'} (${scenario.title})`,
    );
  }
  return exitCode.passed;
}
