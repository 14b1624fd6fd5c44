import { relative } from 'node:path';
import { blameUnderruns } from '../metrics/blame.ts';
import { readConversation } from '../metrics/conversation.ts';
import { blameReport } from '../report/blame-report.ts';
import { prebufferReports } from '../report/prebuffer-report.ts';
import { renderQuestions } from '../report/question-report.ts';
import { recordingFolders } from '../runner/recorded-run.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { exitCode } from './exit-code.ts';
import type { RunFolder } from './recorded-run-folder.ts';
import type { Terminal } from './terminal.ts';

export interface RecordingQuestions {
  /** Whose fault was each underrun? */
  readonly blame: boolean;
  /** What would a prebuffer have changed? */
  readonly prebufferCurve: boolean;
  readonly json: boolean;
}

/**
 * Asks recordings as they are; nothing is run for it, so it can be asked of live runs and of boards, too.
 *
 */
export function askRecordings(
  terminal: Terminal,
  run: RunFolder,
  { blame, prebufferCurve, json }: RecordingQuestions,
): number {
  const cells = recordingFolders(run.path).map((folder) => ({
    folder,
    cell: readRecording(folder),
  }));
  const answers = {
    schemaVersion: 1,
    recordings: cells.map(({ folder, cell }) => {
      const { scenario, provider, device, network, server = 'harness' } = cell.header;
      const place = { scenario, provider, device, network, server };
      const underruns = blame ? blameUnderruns(readConversation(cell), cell) : undefined;
      return {
        recording: run.isBundle ? run.asNamed(folder) : relative('.', folder) || folder,
        ...place,
        ...(underruns !== undefined && { blame: blameReport(underruns) }),
      };
    }),
    ...(prebufferCurve && { prebuffer: prebufferReports(cells.map(({ cell }) => cell)) }),
  };
  if (json) terminal.print(JSON.stringify(answers, null, 2));
  else {
    const { color, width } = terminal;
    terminal.print(renderQuestions(answers, { color, width }));
  }
  return exitCode.passed;
}
