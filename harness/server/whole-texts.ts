import type { SpeechSession } from '../../adapters/speech-adapter.ts';

/**
 * One request per sentence also where text could be streamed in, as the EchoKit server does it
 * (TTS provider protocol reference, section 3.2).
 */
export function wholeTexts(session: SpeechSession): SpeechSession {
  return {
    capabilities: { ...session.capabilities, textIn: 'whole', marks: false },
    speak: (text, signal) => session.speak(joined(text), signal),
    close: () => session.close(),
  };
}

async function* joined(text: AsyncIterable<string>): AsyncGenerator<string, void> {
  let whole = '';
  for await (const piece of text) whole += piece;
  yield whole;
}
