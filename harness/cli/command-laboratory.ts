import { type Laboratory, openLaboratory } from '../runner/laboratory.ts';
import { overheard, syllableTones } from '../stand-ins/offline-voice.ts';
import { cacheFolder } from './cache-folder.ts';
import { ffmpegPath } from './ffmpeg-path.ts';
import type { Terminal } from './terminal.ts';

/**
 * The laboratory of a command, with the user's cache of clips. The first time that tones stand for
 * words, because no engine here can read them, the terminal says so.
 */
export async function openCommandLaboratory(terminal: Terminal): Promise<Laboratory> {
  const laboratory = await openLaboratory(cacheFolder(), ffmpegPath());
  let said = false;
  const voice = overheard(laboratory.voice, ({ spokenBy }, text) => {
    if (said || !spokenBy.includes(syllableTones)) return;
    said = true;
    terminal.say(
      `No voice here can read "${beginning(text)}": tones of the same length stand for its words. ` +
        'For Mandarin: npm install @echogarden/espeak-ng-emscripten (GPL-3).',
    );
  });
  return { ...laboratory, voice };
}

function beginning(text: string): string {
  const characters = [...text];
  return characters.length <= 12 ? text : `${characters.slice(0, 11).join('')}…`;
}
