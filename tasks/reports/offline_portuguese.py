"""Radiology Portuguese for the offline rules: Brazil's words and spelling, and Portugal's.

Stems are written without endings of gender and number; a stem in ``-al``, ``-el``, ``-ao`` or
``-em`` has its plural by rule (``lesao``, ``lesoes``). Accents may be missing: all is compared
without them.
"""

from __future__ import annotations

import re

from tasks.reports.offline_lexicon import Lexicon
from tasks.reports.offline_portuguese_nouns import NOUNS, PLACES

ADJECTIVES = """
postero-anterior=posteroanterior  antero-posterior=anteroposterior  espess=thick
alveolo-intersticial=alveolar and interstitial  mucos=mucous  vesical=urinary  frac=poor
cardiotoracic=cardiothoracic  lingular=lingular  em_cunh=wedge  em_resolucao=resolving
fibros=fibrous  tuberculos=tuberculous  parcialment_definid=partially defined  definid=defined
multifocal=multifocal  seletiv=selective  seletivament=selective  miocardic=myocardial
dorsolombar=thoracolumbar  ateromatos=atheromatous  venocapilar=venous-capillary
compressiv=compressive  cisural=fissural  cistic=cystic  fibrocalcificad=fibrocalcified
gasos=gaseous  intestinal=intestinal  satisfatori=satisfactory  apagad=blunted
destroconvex=dextroconvex  traqueal=tracheal  tracional=traction  ultim=last  duplo=double
mecanic=mechanical  hidrostatic=hydrostatic  cardiogenic=cardiogenic  branquial=branchial
umbilical=umbilical  femoral=femoral  umeral=humeral  clavicular=clavicular  escapular=scapular
esofagic=esophageal  abdominal=abdominal  subdiafragmatic=subdiaphragmatic
infradiafragmatic=infradiaphragmatic  hepatic=hepatic  traumatic=traumatic  congenit=congenital
benign=benign  malign=malignant  primari=primary  secundari=secondary  granulomatos=granulomatous
viral=viral  bacterian=bacterial  cavitad=cavitated  encapsulad=encapsulated  lobulad=lobulated
septal=septal  panlobular=panlobular  centrolobular=centrilobular  paraseptal=paraseptal
colapsad=collapsed  comprimid=compressed  comparativ=comparative  satur=saturated
prejudicad=limited  limitad=limited  apropriad=appropriate  inadequad=inadequate
suficient=sufficient  insuficient=insufficient  superficial=superficial  profund=deep
rarefeit=rarefied  porotic=porotic  metafisari=metaphyseal  tubular=tubular  cilindric=cylindrical
varicos=varicose  ipsolateral=ipsilateral  indiret=indirect  diret=direct
em_as_de_borbolet=butterfly  de_dupl_lumen=double-lumen  alinhad=aligned  marginal=marginal
dextroconvex=dextroconvex  sinistroconvex=levoconvex  ipsilateral=ipsilateral  parietal=parietal
pos-esternotomi=post-sternotomy  mediana=median  escavad=cavitated  em_evolucao=evolving
valorizavel=significant  clinic=clinical  cardiofrenic=cardiophrenic  costofrenic=costophrenic
vasobronquic=bronchovascular  em_atividad=active  em_actividad=active  rodad=rotated
simetric=symmetric  assimetric=asymmetric  superposicionad=superimposed  sobrepost=superimposed
abaulad=bulging  seguiment=segmental  supraclavicular=supraclavicular  em_vidr_fosc=ground-glass
em_vidr_despolid=ground-glass  tip_vidr_fosc=ground-glass  visivel=visible  perihilar=perihilar
peri-hilar=perihilar  para-hilar=parahilar  parahilar=parahilar  peribronquic=peribronchial
redond=round  arredondad=rounded  oval=oval  ovalad=oval  estranh=foreign  projetad=projecting
metalic=metallic  pleural=pleural  cardiac=cardiac  aortic=aortic  mediastinal=mediastinal
mediastinic=mediastinal  hilar=hilar  basal=basal  bibasal=bibasal  bibasilar=bibasal
apical=apical  biapical=biapical  superior=upper  inferior=lower  medi=middle  central=central
periferic=peripheral  posterior=posterior  anterior=anterior  lateral=lateral
intersticial=interstitial  alveolar=alveolar  acinar=acinar  reticular=reticular
reticulonodular=reticulonodular  reticulo-nodular=reticulonodular
reticulogranular=reticulogranular  nodular=nodular  micronodular=micronodular  miliar=miliary
laminar=laminar  linear=linear  segmentar=segmental  lobar=lobar  basilar=basilar
retrocardiac=retrocardiac  subsegmentar=subsegmental  parenquimatos=parenchymal
parenquimal=parenchymal  calcificad=calcified  calcic=calcified  degenerativ=degenerative
dorsal=thoracic  lombar=lumbar  cervical=cervical  vertebral=vertebral  costal=costal  osse=bony
vascular=vascular  venos=venous  arterial=arterial  pulmonar=pulmonary
broncovascular=bronchovascular  bronco-vascular=bronchovascular  bronquic=bronchial  hiatal=hiatal
alongad=elongated  ectasiad=ectatic  ectasic=ectatic  tortuos=tortuous  dilatad=dilated
cronic=chronic  agud=acute  antig=old  residual=residual  sequelar=residual
inflamatori=inflammatory  infeccios=infectious  infecios=infectious  metastatic=metastatic
tumoral=neoplastic  neoplasic=neoplastic  cirurgic=surgical  endotraqueal=endotracheal
orotraqueal=endotracheal  nasogastric=nasogastric  nasoenteral=nasoenteric  nasoenteric=nasoenteric
orogastric=orogastric  toracic=thoracic  jugular=jugular  mitral=mitral  valvar=valvular
valvular=valvular  bicameral=dual chamber  unicameral=single chamber  radiologic=radiological
radiografic=radiographic  patologic=pathological  relevant=relevant  digno_de_not=notable
dign_de_not=notable  focal=focal  difus=diffuse  local=local  loculad=loculated  septad=septated
encistad=loculated  homogene=homogeneous  heterogene=heterogeneous  espars=scattered
confluent=confluent  bem_definid=well-defined  mal_definid=ill-defined  bem_delimitad=well-defined
mal_delimitad=ill-defined  regular=regular  irregular=irregular  espiculad=spiculated  livr=clear
limp=clear  desimpedid=clear  normal=normal  habitual=usual  anatomic=normal
normotransparent=normally aerated  integr=intact  preservad=preserved  conservad=preserved
adequad=adequate  normoposicionad=well-positioned  bem_posicionad=well-positioned
bem_expandid=well expanded  expandid=expanded  centrad=midline  centralizad=midline  pervi=patent
aumentad=increased  reduzid=decreased  diminuid=decreased  proeminent=prominent
ingurgitad=engorged  congest=congested  congestiv=congestive  hipertensiv=tension
espessad=thickened  alargad=widened  elevad=elevated  retificad=flattened  rectificad=flattened
aplanad=flattened  borrad=blurred  desviad=deviated  deslocad=displaced  aere=aerated
aerad=aerated  gastric=gastric  diafragmatic=diaphragmatic  frenic=diaphragmatic
subcutane=subcutaneous  cardiovascular=cardiovascular  cardiopulmonar=cardiopulmonary
pleuropulmonar=pleuropulmonary  pleuro-pulmonar=pleuropulmonary
pleuroparenquimatos=pleuroparenchymal  fibrotic=fibrotic  fibroatelectasic=fibroatelectatic
fibrocicatricial=fibrotic  fibroreticular=fibroreticular  atelectasic=atelectatic
cicatricial=scar-like  portatil=portable  distal=distal  proximal=proximal  mediano=median
maior=larger  menor=smaller  unic=single  semelhant=similar  similar=similar
sobreponivel=comparable  estavel=stable  inalterad=unchanged  mantid=unchanged  previ=previous
nov=new  recent=recent  axial=axial  tecnic=technical  avaliavel=assessable
cardiomediastin=cardiomediastinal  cardiomediastinic=cardiomediastinal  contralateral=contralateral
global=global  peitoral=pectoral  complet=complete  parcial=partial  total=total
pneumonic=pneumonic  consolidativ=consolidative  enfisematos=emphysematous  bolhos=bullous
activ=active  ativ=active  evolutiv=evolving  retroesternal=retrosternal  retrosternal=retrosternal
horizontal=horizontal  obliqu=oblique  transvers=transverse  longitudinal=longitudinal
hiperinsuflad=hyperinflated  hiperexpandid=hyperinflated  hipoexpandid=hypoinflated
hipoinsuflad=hypoinflated  insuflad=inflated  consolidad=healed  descendent=descending
ascendent=ascending  subpleural=subpleural  infra-hilar=infrahilar  infrahilar=infrahilar
supra-hilar=suprahilar  suprahilar=suprahilar  inespecific=nonspecific  sugestiv=suggestive
indeterminad=indeterminate  resolvid=resolved  sintes=synthetic  intact=intact  delgad=thin
grosseir=coarse  finos=fine  bifid=bifid  difusament=diffuse  densa=dense  denso=dense
metastatiz=metastatic  esternal=sternal  mamari=mammary  implantad=implanted  opac=opaque
radiopac=radiopaque  implantavel=implantable  epicardic=epicardial  paravertebral=paravertebral
paratraqueal=paratracheal  subcarinal=subcarinal  diagnostic=diagnostic
"""

GRADES = """
pequen=small  lev=mild  discret=slight  ligeir=slight  minim=minimal  tenu=faint  moderad=moderate
important=marked  marcad=marked  acentuad=marked  sever=severe  grav=severe  grand=large
volumos=large  extens=extensive  macic=massive  significativ=significant  dois=two  duas=two
tres=three  quatr=four  cinc=five  vari=several  multipl=multiple  numeros=numerous
inumer=innumerable  algum=some  alguns=some  algumas=some  outr=other  amb=both  ambos=both
ambas=both  possivel=possible  provavel=probable  duvidos=questionable  questionavel=questionable
eventual=possible  evident=evident  incipient=incipient  primeir=first  segund=second
terceir=third  quart=fourth  quint=fifth  sext=sixth  setim=seventh  oitav=eighth  non=ninth
decim=tenth  demais=remaining  restantes=remaining  apenas=only
"""

SIDES = """
esquerd=left  esq=left  direit=right  dir=right  dto=right  dta=right  bilateral=bilateral
bilateralment=bilateral
"""

RELATIONS = """
distand=lying  modificou=changed  nao_se_modificou=is unchanged  janeir=January  fevereir=February
marc_de=March  abril=April  mai=May  junh=June  julh=July  agost=August  setembr=September
outubr=October  novembr=November  dezembr=December  seguid_de=followed by  parcialment=partially
desde=since  a_criteri_clinic=at clinical discretion:  complementar=complement  a_custa_de=due to
as_custas_de=due to  ao_custa_de=due to  aos_custas_de=due to  ao_custa_da=due to
caracterizand=characterizing  exceto=except  principalment=mainly  sobretudo=mainly
notadament=mainly  predominantement_ao_direit=predominantly on the right  lateralment=laterally
medialment=medially  inferiorment=inferiorly  superiorment=superiorly  durante=during
contra=against  outrossim=also  quando_comparad_ao=compared to  quando_comparad_com=compared to
quando_comparad=compared  habitualment=usually  raramente=rarely  numa_da=in one of
num_do=in one of  numa_das=in one of  num_dos=in one of  uma_das=one of  um_dos=one of
suspeito_de=suspicious for  suspeitas_de=suspicious for
no_limit_superior_do_normal=at the upper limit of normal
no_limit_superior_da_normalidad=at the upper limit of normal  no_leit=at the bedside
podend_traduz=which may represent  pod_traduz=may represent
podend_relacion_se_com=possibly related to  traduzind=representing  correlacion=correlate
convem=advise  atras=ago  ha_aproximadament=for about  aconselh=advise  recomend=recommend
sugere_se=suggest  de=of  do=of  da=of  dos=of  das=of  dum=of  duma=of  deste=of  desta=of  em=in
no=in  na=in  nos=in  nas=in  num=in  numa=in  neste=in this  nesta=in this  ao=to  aos=to
com=with  por=by  pel=by  pelo=by  pela=by  a_=at  pelos=by  pelas=by  sobre=over  para=toward
ate=to  sob=under  entre=between  apos=after  segundo_a=according to  conforme=according to
ao_redor=around  em_torn_de=around  ao_esquerd=on the left  ao_direit=on the right
a_esquerd=on the left  a_direit=on the right  para_a_direit=to the right
para_a_esquerd=to the left  do_lad_direit=on the right  do_lad_esquerd=on the left
compativel_com=compatible with  consistent_com=consistent with  sugestiv_de=suggestive of
sugerind=suggesting  suger=suggests  sugere=suggests  sugerem=suggest  em_relacao_com=related to
relacionad_com=related to  relacionad_ao=related to  relacionad=related to
em_relacao_ao=compared to  relativament_ao=compared to  comparativament_ao=compared to
comparativament_com=compared to  comparad_ao=compared to  comparad_com=compared to
em_comparacao_com=compared to  em_comparacao_ao=compared to  acima_da=above  acima_do=above
acima_de=above  abaixo_da=below  abaixo_do=below  abaixo_de=below  ao_nivel_de=at the level of
ao_nivel_do=at the level of  ao_nivel_da=at the level of  em_nivel_de=at the level of
na_altura_da=at the level of  na_altura_do=at the level of  secundari_ao=secondary to
secundari_a=secondary to  associad_ao=associated with  associad_a=associated with
associad_com=associated with  associad=associated  decorrent_de=due to  devid_ao=due to
a_esclarec=to be clarified:  a_valoriz=to be assessed:  e=and  ou=or  nem=or  mas=but  porem=but
embora=although  que=which  como=as  entretant=however  contud=however  no_entant=however  e_=is
sao=are  esta=is  estao=are  ha=there is  houve=there was  existe=there is  existem=there are
apresent=shows  mostr=shows  demonstr=shows  evidenciand=showing  persist=persistent
permanec=remains  mantem=remains  mantem-se=remains  mantem_se=remains  mant_se=remains
impressao=impression  provavelment=probably  possivelment=possibly  tambem=also  ja=already
alem_de=besides  alem_disso=also  mais=more  menos=less  muit=very  pouco=somewhat
atualment=currently  actualment=currently  actual=current  atual=current  por_via=via  via=via
de_predomini=predominantly  com_predomini=predominantly  predominand=predominating
predominantement=predominantly  predominant=predominantly  aumentou=has increased
aumentaram=have increased  diminuiu=has decreased  diminuiram=have decreased  reduziu=has decreased
surgiu=has appeared  surgiram=have appeared  resolveu=has resolved  regrediu=has regressed
desapareceu=has resolved  previament=previously  anteriorment=previously  posteriorment=posteriorly
medind=measuring  milimetr=mm  mm=mm  cm=cm  centimetr=cm  com_cerca_de=of about  cerca_de=about
aproximadament=approximately  projetand_se=projecting  projet_se=projecting  projectad=projecting
localizad=located  situad=located  sugestao=suggestion
podend_correspond_ao=which may correspond to  podend_correspond=which may correspond to
pod_correspond_ao=may correspond to  podem_correspond_ao=may correspond to
podend_representar=which may represent  pode_representar=may represent
podem_representar=may represent  podend_estar=which may be  provavelment_de=probably of
dentr_dos_limites_da_normalidad=within normal limits
nos_limites_da_normalidad=within normal limits  dentr_da_normalidad=within normal limits
dentr_dos=within  dentr_do=within  dentr_de=within  em_contat_com=in contact with  junt_ao=next to
adjacent_ao=adjacent to  adjacent=adjacent  acompanhad_de=accompanied by
acompanhad_por=accompanied by  ocupand=occupying  acometend=involving  compromet=involving
comprometend=involving  envolvend=involving  determinand=causing  condicionand=causing
causand=causing  obliterand=obliterating  nao_descart=cannot exclude  nao_se_descart=cannot exclude
nao_se_pod_descart=cannot exclude  nao_se_pod_exclu=cannot exclude
nao_se_podend_descart=cannot exclude  nao_se_podend_exclu=cannot exclude
nao_se_exclu=cannot exclude  nao_pod_ser_descartad=cannot exclude
nao_e_possivel_descart=cannot exclude  nao_e_possivel_exclu=cannot exclude
nao_exclu=cannot exclude  sem_exclu=cannot exclude  com_aspecto_de=with the appearance of
de_permei=with intervening
"""

DENIALS = """
nao_houv=no  sem_evidenci_radiografic_de=no radiographic evidence of
sem_evidenci_radiologic_de=no radiological evidence of
nao_ha_evidenci_radiografic_de=no radiographic evidence of
nao_ha_evidenci_radiologic_de=no radiological evidence of
sem_sinal_radiografic_de=no radiographic signs of  sem_sinal_radiologic_de=no radiological signs of
nao_ha_sinal_radiologic_de=no radiological signs of
nao_ha_sinal_radiografic_de=no radiographic signs of  sem=no  nao=not
sem_evidenci_de=no evidence of  sem_evidencia=no evidence of  sem_evident=no evident
sem_sinal_de=no signs of  sem_sinal_sugestiv_de=no signs suggestive of  sem_indici_de=no signs of
nao_se_observ=no  nao_se_not=no  nao_se_visualiz=no  nao_se_identific=no  nao_se_evidenci=no
nao_se_caracteriz=no  nao_se_detect=no  nao_se_defin=no  nao_se_demonstr=no  nao_se_reconhec=no
nao_se_individualiz=no  nao_se_apresent=no  nao_se_ve=no  nao_se_veem=no  nao_se_apreci=no
nao_se_encontr=no  nao_se_verific=no  nao_observ=no  nao_visualiz=no  nao_identific=no
nao_evidenci=no  nao_caracteriz=no  nao_detect=no  nao_ha=no  nao_exist=no  nao_apresent=no
nao_mostr=no  nao_demonstr=no  nao_parec=no apparent  nao_for_observad=no  nao_foram_observad=no
nao_foi_observad=no  nao_foram_identificad=no  nao_foi_identificad=no  nao_foram_visualizad=no
nao_foi_visualizad=no  nao_foram_evidenciad=no  nao_foi_evidenciad=no  nao_foram_caracterizad=no
nao_sao_observad=no  nao_sao_identificad=no  nao_sao_visivel=no  nao_sao_evident=no
nao_e_observad=no  nao_e_identificad=no  nao_e_visivel=no  nao_ha_evidenci_de=no evidence of
nao_ha_sinal_de=no signs of  nao_ha_indici_de=no signs of  nao_se_observ_sinal_de=no signs of
nao_se_identific_sinal_de=no signs of  ausenci_de=absence of  ausenci_da=absence of
ausenci_do=absence of  ausent=absent
"""

SILENT = """
realizad obtid efetuad portador_de portador_da se o a os as um uma uns umas seu sua seus suas foi
foram sido sendo ser cujo cuja se_observ observ_se not_se se_not visualiz_se se_visualiz
identific_se se_identific evidenci_se se_evidenci ver_se verific_se se_verific apreci_se se_apreci
caracteriz_se se_caracteriz observ observad visualiz visualizad identific identificad evidenciad
apreciad caracterizad detectad notad observand_se notand_se visualizand_se identificand_se
apresent_se apresentam_se encontr_se encontram_se encontra_se mostra_se mostram_se
"""

_ENDINGS = re.compile(
    r"(?:[aeio]|[aeo]s|s|a[om]|aos|aes|[aei]m|[ai]d[ao]s?|[ai]nd[ao]s?|ant?es?|i[ao]s?|i[ao]is|is"
    r"|oes|ic[ao]s?|[ao]l|ais|ar|ares|er|ir|or|ores|iv[ao]s?|os[ao]s?|mente|ment[eo]s?|nt[eo]s?"
    r"|e[ao]s?|ou|aram|eu|eram|iu|iram|ula)?"
)
"""What may follow a stem: endings of gender, number, person and participle, and ``-mente``."""

PORTUGUESE = Lexicon(
    "pt",
    {
        "X": SILENT, "R": RELATIONS, "D": DENIALS, "Q": GRADES, "S": SIDES, "A": ADJECTIVES,
        "N": NOUNS, "L": PLACES,
    },
    _ENDINGS,
    plurals=(("al", "ais"), ("el", "eis"), ("il", "is"), ("ao", "oes"), ("em", "ens")),
    spellings=(
        (re.compile(r"(?<=\w)-se\b"), " se"),
        (re.compile(r"\b[àÀ](?=s?\b)"), "ao"),
        (re.compile(r"\b[aA](?= (?:cerca de |aproximadamente )?\d)"), "a_"),
        (re.compile(r"\b[éÉ]\b"), "e_"),
        (re.compile(r"(?<=[a-zà-ú]) D(?=[ ,.;)]|$)"), " direito"),
        (re.compile(r"(?<=[a-zà-ú]) E(?=[,.;)]|$)"), " esquerdo"),
    ),
)  # fmt: skip
"""``-se`` is told from the verb, the preposition ``à`` from the article ``a``, ``é`` (is) from
``e`` (and), and a side's letter from a word."""
