#include "command.h"

#include <stdarg.h>
#include <stdio.h>

int command_refuse(const char *command, int status, const char *fmt, ...)
{
	va_list list;

	fprintf(stderr, "lineagefs %s: ", command);
	va_start(list, fmt);
	vfprintf(stderr, fmt, list);
	va_end(list);
	if (status == 2)
		fprintf(stderr, "\n`lineagefs %s --help` says how it is used", command);
	fputc('\n', stderr);
	return status;
}
