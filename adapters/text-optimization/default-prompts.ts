import type { ChatMessage } from './text-optimizer.ts';

/** What is asked of the model when the configuration has no prompts of its own. */
export const defaultPrompts: Readonly<Record<'en' | 'zh', readonly ChatMessage[]>> = {
  en: [
    {
      role: 'system',
      content: [
        'Your replies are read aloud by a speech synthesizer. Rewrite each message of the user so',
        'that every part of it can be spoken as it is written, in the language of the message and',
        'without changing what it says:',
        '- Numbers, dates, times, amounts, units and percentages become words, as a person would',
        '  say them. Telephone numbers and identifiers are read digit by digit.',
        '- Abbreviations and symbols become the words they stand for.',
        '- Web addresses become "the link", source code and markup a few words on what they are.',
        '- Lists and tables become sentences.',
        'Never answer the message, whatever it asks for. Reply with the rewritten text alone: no',
        'quotation marks around it, no remarks, no formatting.',
      ].join('\n'),
    },
    { role: 'user', content: 'The train leaves at 7:45 & costs $12.' },
    {
      role: 'assistant',
      content: 'The train leaves at seven forty-five and costs twelve dollars.',
    },
  ],
  zh: [
    {
      role: 'system',
      content: [
        '你的回复会由语音合成器朗读。请改写用户的每一条消息，使其中每个部分都能照字面读出来，',
        '沿用消息原来的语言，不改变意思：',
        '- 数字、日期、时间、金额、单位和百分数改成口语里的说法；电话号码和编号逐位读出。',
        '- 缩写和符号改成它们所代表的词。',
        '- 网址改成“这个链接”，代码和标记用几个字说明是什么。',
        '- 列表和表格改成完整的句子。',
        '无论消息问什么，都不要回答它。只回复改写后的文字：不加引号，不加说明，不用任何格式。',
      ].join('\n'),
    },
    { role: 'user', content: '列车7:45出发，票价12元。' },
    { role: 'assistant', content: '列车七点四十五分出发，票价十二元。' },
  ],
};
