/** Conversations of a soak: drawn from a seed, with what happens every day on the link. As scenario files, so that each can be held alone. */
import type { Random } from '../random/random.ts';

const questions = [
  'How far away is the moon?',
  'What is the weather like?',
  'Tell me something about tea.',
  'Who was the first on the moon?',
  'How do I boil an egg?',
];

const sentences = [
  'That depends on where you are.',
  'Boil the water first.',
  'It takes about three days by rocket, and then you are there.',
  'Nobody knows for sure.',
  'Let it steep for four minutes, and take the leaves out before it gets bitter.',
  'Most people say yes.',
  'The short answer is that it is far, and cold, and that there is no air to breathe.',
];

const networks = ['busy-wifi', 'weak-wifi', 'modem-sleep', 'mobile-hotspot'];

/** One to three turns; in one of three conversations the link has trouble in the middle of an answer. */
export function soakScenario(random: Random): string {
  const pick = (list: readonly string[]): string => list[random.integer(0, list.length - 1)]!;
  const turns = random.integer(1, 3);
  const troubled = random.next() < 1 / 3 ? random.integer(1, turns) : 0;
  const lines = ['title = "A conversation of a soak"'];
  for (let turn = 1; turn <= turns; turn++) {
    const reply = Array.from({ length: random.integer(1, 3) }, () => pick(sentences)).join(' ');
    lines.push(
      '[[turn]]',
      `say = "${pick(questions)}"`,
      `reply = "${reply}"`,
      `pause_ms = ${random.integer(200, 2000)}`,
      'recover = true',
    );
    if (turn === troubled) lines.push(...trouble(random, pick(networks)));
  }
  return `${lines.join('\n')}\n`;
}

function trouble(random: Random, network: string): string[] {
  const after = `after = { event = "StartAudio", delay_ms = ${random.integer(0, 1500)} }`;
  switch (random.integer(0, 3)) {
    case 0:
      return ['[[turn.disturb]]', 'kind = "drop"', after];
    case 1:
      return [
        '[[turn.disturb]]',
        'kind = "change"',
        `to = "${network}"`,
        `duration_ms = ${random.integer(500, 5000)}`,
        after,
      ];
    default:
      return [
        '[[turn.disturb]]',
        'kind = "stall"',
        `direction = "${['down', 'up', 'both'][random.integer(0, 2)]}"`,
        `duration_ms = ${random.integer(100, 2500)}`,
        after,
      ];
  }
}
