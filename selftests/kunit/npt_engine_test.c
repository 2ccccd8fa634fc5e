// SPDX-License-Identifier: GPL-2.0
/*
 * The engine of ept/ on another format: its own sources, compiled for x86-64 entries as stage 2,
 * and the same cases as for EPT. So nothing in them depends on how an EPT entry looks.
 */
#define EPT_FORMAT_HEADER	"../selftests/kunit/format_npt.h"

/* Beside the engine that the module has. */
#define ept_age			npt_age
#define ept_alloc_table		npt_alloc_table
#define ept_clear		npt_clear
#define ept_destroy		npt_destroy
#define ept_find		npt_find
#define ept_free_tables		npt_free_tables
#define ept_harvest		npt_harvest
#define ept_init		npt_init
#define ept_install		npt_install
#define ept_iter_end		npt_iter_end
#define ept_iter_next		npt_iter_next
#define ept_iter_next_table	npt_iter_next_table
#define ept_iter_partial	npt_iter_partial
#define ept_iter_start		npt_iter_start
#define ept_iter_step		npt_iter_step
#define ept_iter_zap		npt_iter_zap
#define ept_iter_zap_table	npt_iter_zap_table
#define ept_log_access		npt_log_access
#define ept_mark		npt_mark
#define ept_protect		npt_protect
#define ept_relog		npt_relog
#define ept_supports		npt_supports
#define ept_take_table		npt_take_table
#define ept_tell_derived	npt_tell_derived
#define ept_top_up		npt_top_up
#define ept_unlink_empty	npt_unlink_empty
#define ept_walk		npt_walk
#define ept_young		npt_young
#define ept_zap			npt_zap

/* Nobody else is to have them. */
#include "../../base/kunit-export.h"
#undef EXPORT_SYMBOL_IF_KUNIT
#define EXPORT_SYMBOL_IF_KUNIT(symbol)					\
	static_assert(__builtin_types_compatible_p(typeof(symbol), typeof(symbol)))

#include "../../ept/iter.c"
#include "../../ept/tables.c"
#include "../../ept/log.c"
#include "../../ept/ept.c"

#define SUITE_NAME	"vmx_npt_engine"
#define EXEC_ONLY	false
#define RWX_WB(pa)	((pa) | NPT_PRESENT | EPT_WRITE | NPT_USER)

#define LOG_SUITE_NAME	"vmx_npt_log"

#include "ept_test.c"
#include "ept_log_test.c"
