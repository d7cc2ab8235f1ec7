/* Reading a plugin's settings. They are JSON that the server has made from policy.toml and has checked against the
 * plugin's schema: here is only what finds values in them. Parsing is jsmn's (jsmn.h, MIT). */
#ifndef SETTINGS_H
#define SETTINGS_H

#define JSMN_STATIC
#include "jsmn.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Settings, parsed. Token 0 is the whole. */
typedef struct {
  const char *json;
  jsmntok_t *tokens;
  int count;
} settings_t;

/* Texts, each ended by a zero byte. */
typedef struct {
  char **at;
  size_t count;
} texts_t;

/* False for what is no JSON. `json` has to outlive the settings. */
static bool settings_parse(settings_t *settings, const uint8_t *json, size_t length) {
  jsmn_parser parser;
  jsmn_init(&parser);
  settings->json = (const char *)json;
  settings->count = jsmn_parse(&parser, settings->json, length, NULL, 0);
  if (settings->count < 0) return false;
  settings->tokens = calloc((size_t)settings->count + 1, sizeof(jsmntok_t));
  jsmn_init(&parser);
  return settings->tokens && jsmn_parse(&parser, settings->json, length, settings->tokens, settings->count) >= 0;
}

/* The token after this one and all that is in it. */
static int settings_after(const settings_t *settings, int token) {
  int end = settings->tokens[token].end;
  do token++;
  while (token < settings->count && settings->tokens[token].start < end);
  return token;
}

static bool settings_is(const settings_t *settings, int token, const char *text) {
  const jsmntok_t *at = &settings->tokens[token];
  size_t length = (size_t)(at->end - at->start);
  return length == strlen(text) && memcmp(settings->json + at->start, text, length) == 0;
}

/* The value of a key in an object; -1 if there is none. */
static int settings_find(const settings_t *settings, int object, const char *key) {
  if (object < 0 || object >= settings->count || settings->tokens[object].type != JSMN_OBJECT) return -1;
  int token = object + 1;
  for (int left = settings->tokens[object].size; left > 0 && token + 1 < settings->count; left--) {
    if (settings_is(settings, token, key)) return token + 1;
    token = settings_after(settings, token + 1);
  }
  return -1;
}

static uint32_t settings_hex(const char *digits) {
  char four[5] = {digits[0], digits[1], digits[2], digits[3], 0};
  return (uint32_t)strtoul(four, NULL, 16);
}

static char *settings_utf8(char *to, uint32_t c) {
  if (c < 0x80) {
    *to++ = (char)c;
    return to;
  }
  int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static const uint8_t first[] = {0, 0xc0, 0xe0, 0xf0};
  *to++ = (char)(first[more] | c >> (6 * more));
  while (more-- > 0) *to++ = (char)(0x80u | (c >> (6 * more) & 0x3fu));
  return to;
}

/* The text of a string as it is meant: with its escapes resolved. To be freed. */
static char *settings_text(const settings_t *settings, int token) {
  const char *from = settings->json + settings->tokens[token].start;
  const char *end = settings->json + settings->tokens[token].end;
  char *text = malloc((size_t)(end - from) + 1), *to = text;
  while (text && from < end) {
    if (*from != '\\' || from + 1 >= end) {
      *to++ = *from++;
      continue;
    }
    static const char escapes[] = "bfnrt", meant[] = "\b\f\n\r\t";
    const char *escape = strchr(escapes, from[1]);
    if (from[1] != 'u' || end - from < 6) {
      *to++ = escape ? meant[escape - escapes] : from[1];
      from += 2;
      continue;
    }
    uint32_t c = settings_hex(from + 2);
    from += 6;
    if (c >> 10 == 0x36 && end - from >= 6 && from[0] == '\\' && from[1] == 'u') {
      c = 0x10000 + ((c & 0x3ff) << 10) + (settings_hex(from + 2) & 0x3ff);
      from += 6;
    }
    to = settings_utf8(to, c);
  }
  if (text) *to = 0;
  return text;
}

/* The texts of a list under a key; none if there is no such key. */
static texts_t settings_texts(const settings_t *settings, int object, const char *key) {
  texts_t texts = {NULL, 0};
  int list = settings_find(settings, object, key);
  if (list < 0 || settings->tokens[list].type != JSMN_ARRAY) return texts;
  texts.at = calloc((size_t)settings->tokens[list].size + 1, sizeof(char *));
  for (int token = list + 1; texts.at && (int)texts.count < settings->tokens[list].size;) {
    texts.at[texts.count++] = settings_text(settings, token);
    token = settings_after(settings, token);
  }
  return texts;
}

#endif
