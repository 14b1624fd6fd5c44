import { existsSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  type ExportFormatName,
  exportAudio,
  exportFormats,
} from '../audio-files/exported-audio.ts';
import { openFfmpeg } from '../audio-files/ffmpeg.ts';
import { writeWhole } from '../files/written-file.ts';
import { recordingFolders } from '../runner/recorded-run.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { ffmpegPath } from './ffmpeg-path.ts';
import { withRunFolder } from './recorded-run-folder.ts';
import type { Terminal } from './terminal.ts';

export const exportedAudio = ['speaker', 'sent', 'user', 'provider'] as const;

export interface ExportCommandOptions {
  readonly format: string;
  /** What of {@link exportedAudio}. */
  readonly audio: readonly string[];
  /** Folder for the files. */
  readonly out: string;
  readonly force?: boolean;
}

/** `export`: audio of recordings as files that any player opens. Returns the exit code. */
export function exportCommand(
  terminal: Terminal,
  path: string,
  { format, audio, out, force = false }: ExportCommandOptions,
): number {
  if (!(format in exportFormats)) {
    const names = Object.keys(exportFormats).join(', ');
    throw usage(`There is no format "${format}".`, `formats: ${names}`);
  }
  const wanted = audio.length === 0 ? ['speaker'] : audio;
  const unknown = wanted.find((name) => !(exportedAudio as readonly string[]).includes(name));
  if (unknown !== undefined) {
    throw usage(`A recording has no audio "${unknown}".`, `audio: ${exportedAudio.join(', ')}`);
  }
  return withRunFolder(path, (run) => {
    const ffmpeg = openFfmpeg(ffmpegPath());
    const folders = recordingFolders(run.path);
    let count = 0;
    for (const folder of folders) {
      const { speaker, sent, user, provider } = readRecording(folder);
      const clips: [string, Int16Array][] = [
        ['speaker', speaker],
        ['sent', sent],
        ['user', user],
        ...[...provider].map(([request, samples]): [string, Int16Array] => [
          `provider-${request}`,
          samples,
        ]),
      ];
      const cell = run.isBundle && folder === run.path ? run.name : basename(folder);
      for (const [name, samples] of clips) {
        if (!wanted.includes(name.split('-')[0]!) || samples.length === 0) continue;
        const target = join(out, `${cell}.${name}.${format}`);
        if (!force && existsSync(target)) throw usage(`${target} is there already.`, 'add --force');
        mkdirSync(out, { recursive: true });
        const file = exportAudio(ffmpeg, samples, format as ExportFormatName);
        writeWhole(target, file);
        count += 1;
        terminal.print(`${target}  ${(samples.length / 16_000).toFixed(2)} s`);
      }
    }
    if (count === 0) {
      throw new CommandError(
        'NOTHING_MATCHED',
        exitCode.nothingMatched,
        `${path} has no audio of ${wanted.join(', ')}.`,
        `a run that was killed has no speaker.wav; --audio names another: ${exportedAudio.join(', ')}`,
      );
    }
    return exitCode.passed;
  });
}

function usage(message: string, hint: string): CommandError {
  return new CommandError('USAGE', exitCode.usage, message, hint);
}
