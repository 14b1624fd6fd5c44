/** For tests: merges the folders that it is given into the first one, and prints how much memory that took at most, in KiB. */
import { mergeCommand } from './merge-command.ts';

const [out = '', ...parts] = process.argv.slice(2);
const terminal = { print: () => {}, say: () => {}, color: false, width: 100 };
const exit = await mergeCommand(terminal, parts, {
  out,
  html: false,
  output: [`junit=${out}.xml`],
});
process.stdout.write(`${exit} ${process.resourceUsage().maxRSS}\n`);
process.exit();
