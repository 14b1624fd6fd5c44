import { stripVTControlCharacters } from 'node:util';
import test from 'ava';
import { buildDoctorReport, type DoctorReport, renderDoctorReport } from './doctor-report.ts';

const found: Pick<DoctorReport, 'live' | 'installation' | 'providers' | 'budget'> = {
  live: true,
  installation: [
    { name: 'Node', status: 'ok', message: 'v22.1.0 (20.19 or newer)' },
    { name: 'serialport', status: 'note', message: 'not installed' },
  ],
  providers: [
    {
      name: '云声',
      status: 'fail',
      problem: 'key',
      message:
        'key: the service says that this key is not one of its own and never was. Check "token".',
    },
    { name: 'openai', status: 'ok', message: 'api.openai.com:443: connect 120 ms' },
  ],
  budget: { maxRequests: 20, maxCharacters: 2000, requests: 2, characters: 6 },
};

const settings = { color: false, width: 76, nextSteps: [] };

test('what was found, to the character', (t) => {
  t.is(
    renderDoctorReport(buildDoctorReport(found), settings),
    `Installation
  ok    Node        v22.1.0 (20.19 or newer)
  note  serialport  not installed

Providers, asked to say "OK."
  FAIL  云声        key: the service says that this key is not one of its
                    own and never was. Check "token".
  ok    openai      api.openai.com:443: connect 120 ms

1 problem found. Used: 2 of 20 requests, 6 of 2000 characters.
`,
  );
});

test('a failure makes the whole report fail, a note does not', (t) => {
  t.false(buildDoctorReport(found).ok);
  const healthy = buildDoctorReport({
    live: false,
    installation: found.installation,
    providers: found.providers.slice(1),
  });
  t.true(healthy.ok);
  const nextSteps = ['Then: doctor --live'];
  const text = renderDoctorReport(healthy, { ...settings, nextSteps });
  t.regex(text, /Providers, as configured\n/);
  t.true(text.endsWith('\nAll is well, with 1 note.\nThen: doctor --live\n'), text);
  const alone = buildDoctorReport({
    live: false,
    installation: [found.installation[0]!],
    providers: [],
  });
  t.true(renderDoctorReport(alone, settings).endsWith('\n\nAll is well.\n'));
});

test('colors only paint, and a message from outside cannot act on the terminal', (t) => {
  const evil = buildDoctorReport({
    ...found,
    providers: [{ name: 'x', status: 'fail', message: 'key: \u001b[2Jgone' }],
  });
  const plain = renderDoctorReport(evil, settings);
  t.false(plain.includes('\u001b'));
  const painted = renderDoctorReport(evil, { ...settings, color: true });
  t.not(painted, plain);
  t.is(stripVTControlCharacters(painted), plain);
});
